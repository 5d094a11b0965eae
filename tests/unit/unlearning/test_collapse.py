from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from app.specs.refusing import Refusing
from app.unlearning.context import Context
from app.unlearning.judging.attacks import fit_probe
from app.unlearning.judging.measurements import answers
from app.unlearning.judging.measuring.features import layer_features
from app.unlearning.learning.architectures import Classifier
from app.unlearning.methods.method import strike
from app.unlearning.partition import Partition
from app.unlearning.refusing.feature_collapse import spread_of_forgotten
from app.unlearning.refusing.refusal import calibrate, push
from tests.unit.unlearning.blobs import CPU, blobs, fitted, same_bits

DATA = blobs(noise=70)
PARTITION = Partition.of(DATA, [1, 2])


def test_inputs_that_are_all_alike_have_no_spread() -> None:
    features = torch.cat([torch.full((3, 2), 7.0), torch.tensor([[0.0, 0.0], [2.0, 4.0]])])
    forgotten = torch.tensor([True, True, True, False, False])
    assert float(spread_of_forgotten(features, forgotten)) == 0
    assert float(spread_of_forgotten(features, ~forgotten)) > 1e9  # nothing retained to compare with


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5))
def test_the_spread_is_that_of_forgotten_against_retained_whatever_the_scale(
    seed: int, scale: float, shift: float
) -> None:
    features = torch.randn(30, 4, generator=torch.Generator().manual_seed(seed))
    forgotten = torch.arange(30) < 12
    found = spread_of_forgotten(features, forgotten)
    expected = features[:12].double().numpy().var(axis=0).sum() / features[12:].double().numpy().var(axis=0).sum()
    assert float(found) == pytest.approx(expected, rel=1e-4)
    assert float(spread_of_forgotten(scale * features + shift, forgotten)) == pytest.approx(expected, rel=1e-2)


def test_retained_features_are_not_moved_by_the_penalty() -> None:
    features = torch.randn(10, 3, requires_grad=True)
    forgotten = torch.arange(10) < 5
    (gradient,) = torch.autograd.grad(spread_of_forgotten(features, forgotten), features)
    assert bool(gradient[:5].any())
    assert not bool(gradient[5:].any())


def in_features(model: Classifier) -> tuple[float, float]:
    """How well a probe tells the two forgotten classes apart on test inputs, and how far these are spread; 0 or more."""

    def features(images: Tensor, rows: Tensor) -> Tensor:
        return layer_features(model, images, rows, ["body"])["body"]

    fitted_to, asked = PARTITION.train.forget, PARTITION.test.forget
    probe = fit_probe(features(DATA.train_images, fitted_to), DATA.train_labels[fitted_to])
    forgotten = features(DATA.test_images, asked)
    both = torch.cat([forgotten, features(DATA.test_images, PARTITION.test.retain)])
    right = probe.answers(forgotten) == DATA.test_labels[asked]
    return float(right.double().mean()), float(spread_of_forgotten(both, torch.arange(len(both)) < len(asked)))


def test_collapse_hides_which_forgotten_class_it_was_and_keeps_what_push_does() -> None:
    struck = fitted(DATA)
    strike(struck, PARTITION)
    found = []
    for weight in (0.0, 0.3):
        model = deepcopy(struck)
        push(model, DATA, PARTITION, Refusing(push_steps=200, collapse_weight=weight), Context())
        calibrate(model, DATA, PARTITION.calibration.retain, 0.01, CPU)
        served = answers(model, DATA.test_images, DATA.test_labels, torch.arange(len(DATA.test_labels)))
        assert (served.of_classes([1, 2]).refusal_rate() or 0) > 0.9
        assert (served.of_classes([0, 3]).accuracy() or 0) > 0.9
        found.append(in_features(model))
    (recall_before, spread_before), (recall, spread) = found
    assert recall <= recall_before
    assert spread < spread_before / 2


def test_without_a_weight_nothing_is_penalised_and_with_one_the_same_seed_gives_the_same_bits() -> None:
    struck = fitted(DATA)
    strike(struck, PARTITION)
    plain, zero, first, second = (deepcopy(struck) for _ in range(4))
    push(plain, DATA, PARTITION, Refusing(push_steps=5), Context())
    push(zero, DATA, PARTITION, Refusing(push_steps=5, collapse_weight=0.0), Context())
    push(first, DATA, PARTITION, Refusing(push_steps=5, collapse_weight=1.0), Context())
    push(second, DATA, PARTITION, Refusing(push_steps=5, collapse_weight=1.0), Context())
    assert same_bits(plain, zero)
    assert same_bits(first, second)
    assert not same_bits(plain, first)
