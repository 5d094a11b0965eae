from __future__ import annotations

import sys

import pytest
import torch

from app.specs.architectures import Architecture, Cnn, Gru, Mlp, Torchvision
from app.specs.methods.euk import EukParameters
from app.unlearning.case import Case, Parent
from app.unlearning.judging.measurements import weights_changed
from app.unlearning.learning.architectures import build
from app.unlearning.methods import METHODS
from app.unlearning.methods.euk import layers_to_reset, reset, weight_layers
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs, everything, fitted
from tests.unit.unlearning.methods.settings import CONTEXT

DATA = blobs(rows=400)
CNN = fitted(DATA, Cnn(channels=(4, 8), hidden=16), epochs=8)
PARTITION = Partition.of(DATA, [1])


def test_the_lower_layers_keep_every_bit_and_the_upper_ones_begin_anew() -> None:
    result = METHODS["euk"].run(Case(Parent(CNN), DATA, PARTITION), EukParameters(steps=100), CONTEXT, seed=3)
    changed = weights_changed(CNN, result.model)
    assert [name for name, count in changed.items() if count == 0] == [
        "body.0.weight",
        "body.0.bias",
        "body.3.weight",
        "body.3.bias",
    ]
    assert result.settings["reset"] == ["body.7", "head"]
    assert result.settings["features_cached"]
    assert changed["body.7.weight"] == result.model.get_parameter("body.7.weight").numel()


@pytest.mark.parametrize(
    ("architecture", "layers"),
    [
        (Cnn(channels=(4, 8), hidden=16), 2),  # what follows the last convolution
        (Mlp(hidden=(8, 8)), 3),  # nothing to keep
        (Gru(hidden=(8,)), 2),
        (Torchvision("resnet18"), 7),  # a third of 21
    ],
)
def test_as_many_layers_begin_anew_as_the_kind_of_network_asks_for(architecture: Architecture, layers: int) -> None:
    assert layers_to_reset(build(architecture, (1, 8, 8), 4, seed=0)) == layers


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("architecture", [Cnn(channels=(4, 8), hidden=16), Torchvision("resnet18"), Gru(hidden=(8, 8))])
def test_lower_and_upper_part_together_are_the_network(architecture: Architecture, layers: int) -> None:
    model = build(architecture, (1, 8, 8), 4, seed=0)
    before = everything(model)
    split = reset(model, layers, seed=1)
    images = torch.rand(2, 1, 8, 8)
    assert torch.allclose(split.upper(split.lower(images)), model(images))
    assert split.layers == weight_layers(model)[-layers:]
    fresh = everything(build(architecture, (1, 8, 8), 4, seed=1))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for name, tensor in model.state_dict().items():
        expected = fresh if name in trained else before
        if name in dict(model.named_parameters()):
            assert torch.equal(tensor, expected[name])


def test_more_layers_than_there_are_means_all_of_them() -> None:
    result = METHODS["euk"].run(Case(Parent(CNN), DATA, PARTITION), EukParameters(layers=9, steps=20), CONTEXT, seed=3)
    assert result.settings["layers"] == 4
    assert all(count > 0 for count in weights_changed(CNN, result.model).values())


def test_features_too_large_for_memory_are_made_anew_for_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = EukParameters(steps=20)
    cached = METHODS["euk"].run(Case(Parent(CNN), DATA, PARTITION), parameters, CONTEXT, seed=3)
    # The package names the function as its module, which a dotted name would find instead.
    monkeypatch.setattr(sys.modules["app.unlearning.methods.euk"], "_CACHED_VALUES", 10)
    uncached = METHODS["euk"].run(Case(Parent(CNN), DATA, PARTITION), parameters, CONTEXT, seed=3)
    assert not uncached.settings["features_cached"]
    for name, tensor in cached.model.state_dict().items():
        assert torch.allclose(tensor, uncached.model.state_dict()[name], atol=1e-4)
