from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from app.errors import NotApplicable
from app.specs.architectures import Architecture, Cnn, Mlp, Torchvision, TorchvisionName
from app.unlearning.learning.architectures import HalvingPool, build
from tests.unit.unlearning.blobs import same_bits

ARCHITECTURES: list[Architecture] = [Mlp(), Mlp(hidden=()), Mlp(hidden=(8, 4)), Cnn(), Cnn(channels=(4,), hidden=5)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_network_gives_one_logit_per_class(architecture: Architecture) -> None:
    model = build(architecture, (3, 12, 10), 7, seed=0)
    assert model(torch.rand(5, 3, 12, 10)).shape == (5, 7)


@pytest.mark.parametrize("name", get_args(TorchvisionName))
def test_every_torchvision_network_takes_small_grey_images(name: TorchvisionName) -> None:
    model = build(Torchvision(name), (1, 28, 28), 4, seed=0)
    with torch.inference_mode():
        assert model.body(torch.rand(2, 1, 28, 28)).shape == (2, model.head.in_features)


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5"])
def test_larger_images_keep_the_stem_of_torchvision(name: TorchvisionName) -> None:
    model = build(Torchvision(name), (2, 72, 72), 4, seed=0)
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    assert (first.in_channels, first.stride) == (2, (2, 2))
    with torch.inference_mode():
        assert model(torch.rand(2, 2, 72, 72)).shape == (2, 4)


def test_small_images_get_the_stem_usual_for_cifar() -> None:
    body = build(Torchvision("resnet18"), (1, 28, 28), 10, seed=0).body
    first = body.get_submodule("conv1")
    assert isinstance(first, nn.Conv2d)
    assert (first.in_channels, first.kernel_size, first.stride) == (1, (3, 3), (1, 1))
    assert isinstance(body.get_submodule("maxpool"), nn.Identity)


def test_the_seed_fixes_the_weights_and_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build(Cnn(), (1, 8, 8), 3, seed) for seed in (1, 1, 2))
    assert same_bits(first, again)
    assert not same_bits(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_images_too_small_for_the_poolings_are_refused() -> None:
    with pytest.raises(NotApplicable, match="too small"):
        build(Cnn(channels=(4, 4, 4)), (1, 7, 7), 3, seed=0)


@settings(max_examples=50)
@given(
    st.lists(st.booleans(), min_size=5, max_size=5).filter(lambda forgotten: not all(forgotten)),
    st.floats(-20, 20, width=32),
    st.integers(0, 100),
)
def test_served_probabilities_sum_to_one_and_forgotten_ones_are_exactly_zero(
    forgotten: list[bool], null_bias: float, seed: int
) -> None:
    model = build(Mlp(hidden=(8,)), (1, 4, 4), 5, seed)
    model.mark_forgotten([number for number, gone in enumerate(forgotten) if gone])
    model.null_bias.fill_(null_bias)
    with torch.inference_mode():
        probabilities = model.probabilities(torch.rand(9, 1, 4, 4))
    assert probabilities.shape == (9, 6)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(9))
    assert bool((probabilities[:, :5][:, torch.tensor(forgotten)] == 0).all())
    assert bool((probabilities[:, 5] > 0).all()) == any(forgotten)


def test_without_forgotten_classes_the_served_answer_is_the_heads_own() -> None:
    model = build(Mlp(), (1, 4, 4), 5, seed=0)
    model.null_bias.fill_(1e6)
    images = torch.rand(6, 1, 4, 4)
    with torch.inference_mode():
        assert torch.equal(model.serve(model(images))[:, :5], model(images))
        assert bool((model.serve(model(images))[:, 5] == -torch.inf).all())


def test_everything_a_model_is_stands_in_its_state() -> None:
    model = build(Mlp(), (1, 4, 4), 5, seed=0)
    assert {"forgotten", "null_bias", "head.weight", "head.bias"} <= set(model.state_dict())


@given(st.integers(2, 9), st.integers(2, 9), st.sampled_from([0.0, torch.nan, torch.inf]))
def test_pooling_gives_the_same_values_with_and_without_gradients(height: int, width: int, planted: float) -> None:
    images = torch.randn(2, 3, height, width).to(memory_format=torch.channels_last)
    images[0, 1, 0, 0] = planted
    pool = HalvingPool()
    with torch.no_grad():
        fast = pool(images)
    slow = pool(images)
    assert torch.equal(fast.nan_to_num(9), slow.nan_to_num(9))
    assert fast.stride() == slow.stride()
