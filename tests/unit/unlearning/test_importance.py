from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from app.specs.architectures import Architecture, Cnn, Gru, Lstm, Mlp, Torchvision
from app.specs.methods.edit import Selection
from app.unlearning.context import Cancelled, Context
from app.unlearning.data import images_as_float
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.methods.importance import (
    damped_ratio,
    empirical_fisher,
    hidden_weights,
    measured_contrast,
    sensitivity,
)
from app.unlearning.partition import Partition
from tests.oracles import loop_fisher, loss_change_by_removal
from tests.unit.unlearning.blobs import blobs, everything, fitted

DATA = blobs(rows=80)
# An inverted residual network: convolutions in groups, activations in place, batch norm.
GROUPED = Torchvision("mobilenet_v3_small")
RECURRENT: list[Architecture] = [Gru(hidden=(6, 5)), Lstm(hidden=(6, 5))]


@pytest.mark.parametrize("architecture", [Mlp(hidden=(6, 5)), Cnn(channels=(3, 4), hidden=5), GROUPED, *RECURRENT])
def test_the_fast_fisher_is_that_of_one_backward_pass_per_image(architecture: Architecture) -> None:
    model = build(architecture, DATA.input_shape, 4, seed=0)
    images, labels = DATA.train_images[:7], DATA.train_labels[:7]
    slow = loop_fisher(model, images, labels)
    fast = empirical_fisher(model, images, labels, Context())
    assert fast.keys() == hidden_weights(model).keys()
    for name, values in fast.items():
        torch.testing.assert_close(values, slow[name], rtol=1e-3, atol=1e-9)


def test_the_fast_fisher_is_that_of_vectorised_per_sample_gradients() -> None:
    model = build(Cnn(channels=(3,), hidden=5), DATA.input_shape, 4, seed=0)
    images, labels = DATA.train_images[:9], DATA.train_labels[:9]
    weights = {name: weight.detach() for name, weight in hidden_weights(model).items()}

    def loss(weights: dict[str, torch.Tensor], image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(functional_call(model, weights, (image.unsqueeze(0),)), label.unsqueeze(0))

    per_sample = vmap(grad(loss), in_dims=(None, 0, 0))(weights, images_as_float(images), labels)
    for name, values in empirical_fisher(model, images, labels, Context()).items():
        torch.testing.assert_close(values, per_sample[name].square().mean(dim=0), rtol=1e-4, atol=1e-10)


@pytest.mark.parametrize("architecture", RECURRENT)
def test_the_fisher_of_trained_recurrent_layers_is_exact(architecture: Architecture) -> None:
    data = blobs(rows=80, channels=2)
    model = fitted(data, architecture, epochs=3)
    images, labels = data.train_images[:9], data.train_labels[:9]
    slow = loop_fisher(model, images, labels)
    fast = empirical_fisher(model, images, labels, Context())
    weights = [f"body.layers.{layer}.weight_{kind}_l0" for layer in (0, 1) for kind in ("ih", "hh")]
    assert list(fast) == weights
    for name in weights:
        torch.testing.assert_close(fast[name], slow[name], rtol=1e-5, atol=1e-5 * float(slow[name].max()))


@pytest.mark.parametrize("architecture", [Cnn(channels=(3,), hidden=5), *RECURRENT])
def test_fisher_does_not_depend_on_how_images_are_batched(
    architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(architecture, DATA.input_shape, 4, seed=0)
    whole = empirical_fisher(model, DATA.train_images, DATA.train_labels, Context())
    monkeypatch.setattr("app.unlearning.methods.importance._BATCH", 7)
    monkeypatch.setattr("app.unlearning.methods.importance._HELD_VALUES", 1)
    for name, values in empirical_fisher(model, DATA.train_images, DATA.train_labels, Context()).items():
        torch.testing.assert_close(values, whole[name])


def test_classes_forgotten_earlier_have_no_part_in_importance() -> None:
    model = build(Mlp(hidden=(6,)), DATA.input_shape, 4, seed=0)
    model.mark_forgotten([3])
    images, labels = DATA.train_images[:3], DATA.train_labels[:3]
    slow = loop_fisher(model, images, labels)
    for name, values in empirical_fisher(model, images, labels, Context()).items():
        torch.testing.assert_close(values, slow[name], rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        (Mlp(hidden=(6,)), "1.weight"),
        *((kind, "layers.0.weight_hh_l0") for kind in (Gru(hidden=(6,)), Lstm(hidden=(6,)))),
    ],
)
def test_sensitivity_ranks_weights_as_their_true_removal_does(architecture: Architecture, name: str) -> None:
    model = fitted(DATA, architecture, epochs=2)
    forget = DATA.train_labels == 2
    images, labels = DATA.train_images[forget], DATA.train_labels[forget]
    with torch.no_grad():  # small enough for the first order to rule
        model.body.get_parameter(name).mul_(0.3)
    estimated = sensitivity(model, images, labels, Context())[f"body.{name}"].flatten()
    true = loss_change_by_removal(model, images, labels, f"body.{name}").abs()
    ranks = torch.stack([values.argsort().argsort().float() for values in (estimated, true)])
    assert float(torch.corrcoef(ranks)[0, 1]) > 0.9
    top = len(true) // 20
    assert len(set(estimated.topk(top).indices.tolist()) & set(true.topk(top).indices.tolist())) >= top * 0.8


def test_weights_that_never_act_rank_last() -> None:
    ratio = damped_ratio(torch.tensor([0.0, 1e-12, 2.0, 2.0]), torch.tensor([0.0, 1e-12, 4.0, 1.0]))
    assert ratio[0] == 0
    assert ratio.argsort(descending=True).tolist() == [3, 2, 1, 0]


def test_where_nothing_matters_to_what_stays_forget_importance_alone_ranks() -> None:
    ratio = damped_ratio(torch.tensor([1.0, 0.0, 3.0, 2.0]), torch.zeros(4))
    assert ratio.argsort(descending=True).tolist() == [2, 3, 0, 1]
    assert ratio[1] == 0


def test_biases_batch_norm_and_the_head_are_left_alone() -> None:
    model = build(Torchvision("resnet18"), (1, 8, 8), 4, seed=0)
    names = set(hidden_weights(model))
    assert names
    assert not {name for name in names if "bn" in name or "bias" in name or name.startswith("head")}
    assert all(name in dict(model.named_parameters()) for name in names)


@pytest.mark.parametrize("architecture", [Mlp(hidden=(32,)), *RECURRENT])
@pytest.mark.parametrize("selection", ["importance", "sensitivity"])
def test_measuring_importance_leaves_no_trace(selection: Selection, architecture: Architecture) -> None:
    model = fitted(DATA, architecture, epochs=1)
    before = everything(model)
    contrast = measured_contrast(model, DATA, Partition.of(DATA, [1]).train, selection, Context(), seed=0)
    ratios = {name: contrast.ratio(name) for name in hidden_weights(model)}
    assert ratios
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(bool((ratio >= 0).all()) for ratio in ratios.values())


def test_a_network_without_hidden_layers_has_no_hidden_weights() -> None:
    model: Classifier = build(Mlp(hidden=()), DATA.input_shape, 4, seed=0)
    train, selections = Partition.of(DATA, [1]).train, get_args(Selection)
    for selection in selections:
        assert measured_contrast(model, DATA, train, selection, Context(), seed=0).forget == {}


def test_measuring_importance_ends_when_it_is_cancelled() -> None:
    def cancel() -> None:
        raise Cancelled

    model = fitted(DATA, epochs=1)
    with pytest.raises(Cancelled):
        empirical_fisher(model, DATA.train_images, DATA.train_labels, Context(check=cancel))
    assert not any(module._forward_hooks for module in model.modules())
