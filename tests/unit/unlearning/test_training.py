from __future__ import annotations

import pytest
import torch

from app.errors import NotApplicable
from app.specs.architectures import Architecture, Cnn, Mlp, Torchvision
from app.specs.training import Training
from app.unlearning.context import Cancelled, Context
from app.unlearning.judging.measurements import answers, version_metrics
from app.unlearning.learning.architectures import build
from app.unlearning.learning.training import fit
from app.unlearning.partition import rows_of
from tests.unit.unlearning.blobs import blobs, everything, same_bits

DATA = blobs()
FEW = blobs(rows=80, size=8)


@pytest.mark.parametrize("architecture", [Mlp(hidden=(16,)), Cnn(channels=(8,), hidden=16)])
def test_a_network_learns_separable_classes(architecture: Architecture) -> None:
    model = build(architecture, DATA.input_shape, 4, seed=0)
    result = fit(model, DATA, DATA.train_rows, Training(epochs=6, batch_size=32), Context())
    assert version_metrics(model, DATA).test_accuracy > 0.95
    assert not model.training
    assert result.epochs == result.best_epoch == 6
    assert result.history[-1].training_loss < result.history[0].training_loss


@pytest.mark.parametrize("architecture", [Mlp(), Cnn(channels=(4,)), Torchvision("shufflenet_v2_x0_5")])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_same_seed_gives_the_same_bits(architecture: Architecture, optimizer: str) -> None:
    models = []
    for seed in (3, 3, 4):
        torch.rand(seed)  # the global generator stands elsewhere each time
        model = build(architecture, FEW.input_shape, 4, seed=0)
        training = Training(epochs=1, batch_size=30, optimizer=optimizer, seed=seed)  # type: ignore[arg-type]  # by parameter
        fit(model, FEW, FEW.train_rows, training, Context())
        models.append(model)
    assert same_bits(models[0], models[1])
    assert not same_bits(models[0], models[2])


def test_only_the_given_rows_are_fitted() -> None:
    rows = rows_of(DATA.train_labels, DATA.train_rows, [0, 1])
    changed = DATA.train_images.clone()
    others = torch.ones(len(changed), dtype=torch.bool)
    others[rows] = False
    changed[others] = 255 - changed[others]
    models = []
    for images in (DATA.train_images, changed):
        model = build(Mlp(), DATA.input_shape, 4, seed=0)
        data = type(DATA)(**{**vars(DATA), "train_images": images})
        fit(model, data, rows, Training(epochs=1, batch_size=32), Context())
        models.append(model)
    assert same_bits(*models)


def test_forgotten_classes_have_no_part_in_the_softmax() -> None:
    model = build(Mlp(), DATA.input_shape, 4, seed=0)
    model.mark_forgotten([1])
    row = model.head.weight[1].detach().clone()
    fit(model, DATA, rows_of(DATA.train_labels, DATA.train_rows, [0, 2, 3]), Training(epochs=2), Context())
    assert torch.equal(model.head.weight[1], row)


def test_rows_of_a_forgotten_class_are_refused() -> None:
    model = build(Mlp(), DATA.input_shape, 4, seed=0)
    model.mark_forgotten([1])
    with pytest.raises(NotApplicable, match="forgotten class"):
        fit(model, DATA, DATA.train_rows, Training(), Context())


def test_no_rows_are_refused() -> None:
    with pytest.raises(NotApplicable, match="no rows"):
        fit(build(Mlp(), DATA.input_shape, 4, 0), DATA, DATA.train_rows[:0], Training(), Context())


def test_early_stopping_restores_the_best_epoch() -> None:
    training = Training(epochs=30, batch_size=16, learning_rate=0.3, schedule="constant", early_stopping=2)
    model = build(Mlp(hidden=(16,)), DATA.input_shape, 4, seed=0)
    result = fit(model, DATA, DATA.train_rows, training, Context())
    losses = [epoch.calibration_loss for epoch in result.history]
    assert None not in losses
    assert result.epochs == result.best_epoch + 2
    assert losses[result.best_epoch - 1] == min(loss for loss in losses if loss is not None)
    until_best = build(Mlp(hidden=(16,)), DATA.input_shape, 4, seed=0)
    shorter = Training(epochs=result.best_epoch, batch_size=16, learning_rate=0.3, schedule="constant")
    fit(until_best, DATA, DATA.train_rows, shorter, Context())
    assert same_bits(model, until_best)


def test_a_single_row_left_over_does_not_stop_batch_norm() -> None:
    model = build(Torchvision("resnet18"), (1, 8, 8), 4, seed=0)
    fit(model, DATA, DATA.train_rows[:9], Training(epochs=1, batch_size=8), Context())
    assert bool(model.forgotten.logical_not().all())


def test_batch_norm_with_batches_of_one_is_refused() -> None:
    model = build(Torchvision("resnet18"), (1, 8, 8), 4, seed=0)
    with pytest.raises(NotApplicable, match="at least 2"):
        fit(model, DATA, DATA.train_rows[:4], Training(epochs=1, batch_size=1), Context())


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    training = Training(epochs=2, optimizer="sgd", learning_rate=10.0, momentum=0.99, schedule="constant", batch_size=1)
    model = build(Mlp(hidden=(64, 64, 64)), DATA.input_shape, 4, seed=0)
    with torch.no_grad():
        model.head.weight.mul_(1e30)
    with pytest.raises(NotApplicable, match="not finite in epoch 1"):
        fit(model, DATA, DATA.train_rows, training, Context())


def test_progress_goes_from_nothing_to_all_and_never_back() -> None:
    fractions: list[float] = []
    messages: list[str] = []

    def note(fraction: float, stage: str, message: str) -> None:
        assert stage == "training"
        fractions.append(fraction)
        messages.append(message)

    model = build(Mlp(), DATA.input_shape, 4, seed=0)
    fit(model, DATA, DATA.train_rows, Training(epochs=3), Context(progress=note))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert messages[-1].startswith("epoch 3 of 3, batch 5 of 5, loss ")


def test_a_fit_ends_when_it_is_cancelled() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Cancelled

    model = build(Mlp(), DATA.input_shape, 4, seed=0)
    with pytest.raises(Cancelled):
        fit(model, DATA, DATA.train_rows, Training(epochs=1000), Context(check=check))
    assert not torch.are_deterministic_algorithms_enabled()


def test_weight_decay_shrinks_the_weights() -> None:
    norms = []
    for decay in (0.0, 0.5):
        model = build(Mlp(), DATA.input_shape, 4, seed=0)
        fit(model, DATA, DATA.train_rows, Training(epochs=2, weight_decay=decay), Context())
        norms.append(float(everything(model)["body.1.weight"].norm()))
    assert norms[1] < norms[0]


def test_measuring_does_not_change_a_model() -> None:
    model = build(Torchvision("resnet18"), (1, 8, 8), 4, seed=0)
    before = everything(model)
    answers(model, DATA.test_images, DATA.test_labels, torch.arange(40))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
