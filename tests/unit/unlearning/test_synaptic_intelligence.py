from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from app.specs.architectures import Mlp
from app.specs.learning import SynapticIntelligence
from app.specs.training import Training
from app.unlearning.context import Context
from app.unlearning.data import images_as_float
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.continual import learn_tasks
from app.unlearning.learning.synaptic_intelligence import PathIntegral
from app.unlearning.learning.training import fit
from app.unlearning.partition import rows_of
from tests.unit.unlearning.blobs import blobs, everything, same_bits

DATA = blobs(rows=200)
LEARNING = SynapticIntelligence(tasks=((0, 1), (2, 3)))
ROWS = rows_of(DATA.train_labels, DATA.train_rows, [2, 3])


def network(learning: SynapticIntelligence = LEARNING) -> Classifier:
    return build(Mlp(hidden=(8,)), DATA.input_shape, 4, 0, learning)


def loss_of(model: Classifier) -> Tensor:
    labels = DATA.train_labels[ROWS]
    return functional.cross_entropy(model.within_tasks(model(images_as_float(DATA.train_images[ROWS])), labels), labels)


def everywhere(model: Classifier, value: float) -> dict[str, Tensor]:
    return {name: torch.full_like(parameter, value) for name, parameter in model.named_parameters()}


def test_the_integral_is_the_fall_of_the_loss() -> None:
    # In the limit of small steps, whatever the optimizer (Zenke et al. 2017, equation 3).
    model = network()
    before, start = float(loss_of(model).detach()), everything(model)
    path = PathIntegral(model, [], LEARNING)
    training = Training(
        epochs=100, batch_size=10_000, optimizer="sgd", learning_rate=1e-2, momentum=0, schedule="constant"
    )
    fit(model, DATA, ROWS, training, Context(), protection=path)
    fall = before - float(loss_of(model).detach())
    change = {name: parameter.detach() - start[name] for name, parameter in model.named_parameters()}
    # Plain gradient descent: no contribution is negative, so none is cut off and Ω · (Δ² + ξ) gives them back.
    total = sum(
        float((omega * (change[name].square() + LEARNING.xi)).sum()) for name, omega in path.importance().items()
    )
    assert fall > 0.03
    assert total == pytest.approx(fall, rel=0.01)


def test_importance_is_never_negative_and_0_where_nothing_moved() -> None:
    model = network()
    start = everything(model)
    path = PathIntegral(model, [], LEARNING)
    fit(model, DATA, ROWS, Training(epochs=3, batch_size=8, learning_rate=0.05), Context(), protection=path)
    for name, omega in path.importance().items():
        assert bool((omega >= 0).all())
        assert not omega[model.get_parameter(name) == start[name]].any()
    assert not path.importance()["head.weight"][:2].any()  # the other task's rows are not in the softmax
    assert path.importance()["head.weight"][2:].any()


def test_a_first_task_is_learned_as_without_any_protection() -> None:
    plain, observed = network(), network()
    training = Training(epochs=2, batch_size=16)
    fit(plain, DATA, ROWS, training, Context())
    fit(observed, DATA, ROWS, training, Context(), protection=PathIntegral(observed, [], LEARNING))
    assert same_bits(plain, observed)


def test_the_surrogate_loss_is_c_times_importance_times_the_squared_change() -> None:
    model, learning = network(), SynapticIntelligence(tasks=LEARNING.tasks, c=0.7)
    start = everything(model)
    path = PathIntegral(model, [everywhere(model, 2.0), everywhere(model, 1.0)], learning)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    loss_of(model).backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
    path.after_backward()
    twin = network()
    twin.load_state_dict(everything(model))
    penalty = sum(3.0 * (parameter - start[name]).square().sum() for name, parameter in twin.named_parameters())
    (loss_of(twin) + 0.7 * penalty).backward()  # type: ignore[no-untyped-call]  # likewise
    for (name, expected), parameter in zip(twin.named_parameters(), model.parameters(), strict=True):
        assert parameter.grad is not None
        assert expected.grad is not None
        assert torch.allclose(parameter.grad, expected.grad, atol=1e-6), name


def test_the_more_others_need_a_weight_the_less_it_moves() -> None:
    moved = []
    for importance in (0.0, 1.0, 10.0):
        model = network()
        start = everything(model)
        path = PathIntegral(model, [everywhere(model, importance)], LEARNING)
        training = Training(epochs=3, batch_size=16, optimizer="sgd", momentum=0, learning_rate=0.02)
        fit(model, DATA, ROWS, training, Context(), protection=path)
        moved.append(
            sum(
                float((parameter.detach() - start[name]).square().sum()) for name, parameter in model.named_parameters()
            )
        )
    assert moved[0] > 1.2 * moved[1] > 1.2 * 1.2 * moved[2]


def test_the_gradient_in_the_integral_is_that_of_the_task_alone() -> None:
    model = network()
    path = PathIntegral(model, [everywhere(model, 1e3)], LEARNING)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    loss_of(model).backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
    of_the_task = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}  # type: ignore[union-attr]  # there after backward
    path.after_backward()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.sub_(0.01 * of_the_task[name])
    path.after_step()
    for name, omega in path.importance().items():
        change = torch.full_like(omega, 0.1) - 0.01 * of_the_task[name]
        expected = 0.01 * of_the_task[name].square() / (change.square() + LEARNING.xi)
        assert torch.allclose(omega, expected, rtol=1e-2, atol=1e-7), name


def test_what_made_the_loss_rise_is_of_no_importance() -> None:
    model = network()
    path = PathIntegral(model, [], LEARNING)
    loss_of(model).backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
    path.after_backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(parameter.grad)  # type: ignore[arg-type]  # there after backward
    path.after_step()
    assert not any(omega.any() for omega in path.importance().values())


def test_a_task_learned_again_is_held_by_those_learned_after_it_and_not_by_itself() -> None:
    free, held, own = (
        learn_tasks(
            network(),
            DATA,
            DATA.train_rows,
            [0],
            Training(epochs=1, batch_size=16),
            known=(0, 1),
            importance={task: everywhere(network(), value)},
            context=Context(),
        ).model
        for task, value in ((1, 0.0), (1, 10.0), (0, 10.0))
    )
    assert not same_bits(free, held)
    assert same_bits(free, own)
