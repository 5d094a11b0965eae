from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from app.errors import NotApplicable
from app.specs.architectures import Architecture, Cnn, Gru, Mlp, Torchvision
from app.unlearning.data import images_as_float
from app.unlearning.judging.measuring.features import (
    MAX_FEATURES,
    MAX_LAYERS,
    layer_features,
    layer_names,
    layer_similarity,
    linear_cka,
)
from app.unlearning.learning.architectures import build
from tests.oracles import gram_cka
from tests.unit.unlearning.blobs import blobs

DATA = blobs(rows=60)
ROWS = torch.arange(30)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("architecture", [Mlp(hidden=(8, 6)), Cnn(channels=(4, 6), hidden=5), Gru(hidden=(7,))])
def test_features_of_the_body_and_the_head_are_what_the_network_computes(architecture: Architecture) -> None:
    model = build(architecture, DATA.input_shape, 4, seed=0)
    found = layer_features(model, DATA.train_images, ROWS, layer_names(model))
    images = images_as_float(DATA.train_images[ROWS])
    assert torch.allclose(found["body"], model.body(images))
    assert torch.allclose(found["head"], model(images))
    assert list(found) == list(layer_names(model))
    assert all(
        len(features) == 30 and features.dim() == 2 and features.shape[1] <= MAX_FEATURES for features in found.values()
    )


def test_a_layer_is_named_as_in_the_model_and_seen_before_its_activation() -> None:
    model = build(Mlp(hidden=(8, 6)), DATA.input_shape, 4, seed=0)
    assert layer_names(model) == ("body.1", "body.3", "body", "head")
    found = layer_features(model, DATA.train_images, ROWS, ["body.3", "body"])
    assert torch.equal(found["body.3"].relu(), found["body"])


def test_maps_are_averaged_to_the_finest_grid_allowed() -> None:
    model = build(Cnn(channels=(16, 80), hidden=5), (1, 8, 8), 4, seed=0)
    found = layer_features(model, DATA.train_images, ROWS, ["body.0", "body.3"])
    assert found["body.0"].shape == (30, 16 * 4 * 4)
    assert found["body.3"].shape == (30, 80 * 2 * 2)
    whole = model.body[0](images_as_float(DATA.train_images[ROWS]))  # type: ignore[index]  # a Sequential
    assert torch.allclose(found["body.0"].view(30, 16, 16).mean(dim=2), whole.mean(dim=(2, 3)), atol=1e-6)


def test_of_deep_networks_a_few_layers_are_named_first_and_last_among_them() -> None:
    model = build(Torchvision(type="resnet18"), (1, 8, 8), 4, seed=0)
    names = layer_names(model)
    assert len(names) == MAX_LAYERS + 2
    assert (names[0], names[-3]) == ("body.conv1", "body.layer4.1.conv2")
    assert set(layer_features(model, DATA.train_images, ROWS[:4], names)) == set(names)


def test_features_do_not_depend_on_which_rows_are_asked_beside_and_leave_no_hook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(Mlp(hidden=(8,)), DATA.input_shape, 4, seed=0)
    whole = layer_features(model, DATA.train_images, ROWS, ["body"])["body"]
    monkeypatch.setattr("app.unlearning.judging.measuring.features._BATCH", 7)
    assert torch.allclose(layer_features(model, DATA.train_images, ROWS, ["body"])["body"], whole)
    assert not any(module._forward_hooks for module in model.modules())


def test_an_unknown_layer_and_no_rows_are_refused() -> None:
    model = build(Mlp(hidden=(8,)), DATA.input_shape, 4, seed=0)
    with pytest.raises(NotApplicable, match=r"no layer 'body\.9'"):
        layer_features(model, DATA.train_images, ROWS, ["body.9"])
    with pytest.raises(NotApplicable, match="no rows"):
        layer_features(model, DATA.train_images, ROWS[:0], ["body"])


@given(st.integers(0, 50), st.integers(1, 6), st.integers(1, 6), st.floats(0.01, 100))
def test_alignment_is_symmetric_and_the_same_for_rotated_scaled_and_moved_features(
    seed: int, width: int, other_width: int, scale: float
) -> None:
    first, second = normal(20, width, seed=seed), normal(20, other_width, seed=seed + 1000)
    rotation = torch.linalg.qr(normal(width, width, seed=seed + 2000)).Q
    found = linear_cka(first, second)
    assert 0 <= found <= 1
    assert linear_cka(second, first) == pytest.approx(found, abs=1e-9)
    assert linear_cka(scale * first @ rotation + 3, second) == pytest.approx(found, abs=1e-9)
    assert linear_cka(first, scale * first @ rotation) == pytest.approx(1)


def test_alignment_is_that_of_the_gram_matrices_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = normal(25, 11, seed=0), normal(25, 40, seed=1)
    second[:, :11] += first
    known = gram_cka(first, second)
    assert linear_cka(first, second) == pytest.approx(known)
    monkeypatch.setattr("app.unlearning.judging.measuring.features.MAX_FEATURES", 4)
    assert linear_cka(first, second) == pytest.approx(known)


def test_features_of_nothing_in_common_are_hardly_aligned() -> None:
    assert linear_cka(normal(2000, 4, seed=0), normal(2000, 4, seed=1)) < 0.02


def test_a_layer_that_is_dead_is_aligned_with_nothing() -> None:
    alive, dead = normal(9, 3, seed=0), torch.full((9, 3), 0.1)
    with pytest.raises(NotApplicable, match="same features"):
        linear_cka(alive, dead)
    with pytest.raises(NotApplicable):
        linear_cka(alive, alive[:4])
    found = layer_similarity({"a": alive, "b": dead}, {"a": alive, "b": alive}, ["a", "b"])
    assert found["a"] == pytest.approx(1)
    assert found["b"] is None
