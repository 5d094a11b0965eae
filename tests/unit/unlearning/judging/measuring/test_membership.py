from __future__ import annotations

import math
from statistics import NormalDist

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor

from app.errors import NotApplicable
from app.specs.architectures import Mlp
from app.specs.training import Training
from app.unlearning.context import Context
from app.unlearning.judging.measuring.closeness import margins
from app.unlearning.judging.measuring.intervals import Estimate
from app.unlearning.judging.measuring.membership import (
    area_under_curve,
    balanced_accuracy,
    best_threshold,
    calibrated,
    membership_attack,
    true_positive_rate_at,
)
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit, raw_logits
from tests.oracles import counted_auc
from tests.unit.unlearning.blobs import CPU, blobs

SCORES = st.lists(st.integers(-4, 4), min_size=1, max_size=25).map(lambda values: torch.tensor(values).double())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(count: int, mean: float = 0.0, seed: int = 0) -> Tensor:
    return mean + torch.randn(count, generator=seeded(seed), dtype=torch.float64)


@given(SCORES, SCORES)
def test_the_auc_is_that_of_all_pairs_and_of_scikit_learn_ties_included(members: Tensor, others: Tensor) -> None:
    found = area_under_curve(members, others).estimate.value
    labels = [1] * len(members) + [0] * len(others)
    assert found == pytest.approx(counted_auc(members, others))
    assert found == pytest.approx(roc_auc_score(labels, torch.cat([members, others]).numpy()))


@given(SCORES, SCORES)
def test_turning_the_scores_turns_the_auc_and_its_interval(members: Tensor, others: Tensor) -> None:
    found = area_under_curve(members, others).estimate
    turned = area_under_curve(-members, -others).estimate
    assert (turned.value, turned.low, turned.high) == pytest.approx((1 - found.value, 1 - found.high, 1 - found.low))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_the_auc_of_two_normal_distributions_is_known() -> None:
    found = area_under_curve(normal(20000, 1.0), normal(20000, seed=1))
    assert found.estimate.value == pytest.approx(NormalDist().cdf(1 / math.sqrt(2)), abs=0.01)
    assert found.estimate.low < NormalDist().cdf(1 / math.sqrt(2)) < found.estimate.high


def test_the_standard_error_is_that_of_hanley_and_mcneil() -> None:
    members, others = normal(60, 1.2), normal(40, seed=1)
    found = area_under_curve(members, others)
    area = found.estimate.value
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + 59 * (first - area**2) + 39 * (second - area**2)
    assert found.standard_error == pytest.approx(math.sqrt(variance / 2400))
    assert found.estimate.high - found.estimate.low == pytest.approx(2 * 1.96 * found.standard_error, rel=0.1)


def test_intervals_of_the_auc_cover_the_truth_about_as_often_as_they_say() -> None:
    truth = NormalDist().cdf(1.5 / math.sqrt(2))
    found = [area_under_curve(normal(40, 1.5, run), normal(60, seed=1000 + run)).estimate for run in range(300)]
    assert 0.92 < sum(one.low <= truth <= one.high for one in found) / 300 <= 1


def test_separated_scores_are_told_apart_and_equal_ones_are_not() -> None:
    apart = membership_attack(torch.arange(200.0) + 1000, torch.arange(200.0), seeded())
    assert apart.auc.estimate.value == apart.auc.estimate.high == apart.balanced_accuracy.value == 1
    assert apart.auc.standard_error == 0
    assert apart.auc.estimate.low < 1
    assert apart.true_positive_rate is not None
    assert apart.true_positive_rate.value == 1
    equal = membership_attack(torch.zeros(200), torch.zeros(200), seeded())
    assert equal.auc.estimate.value == equal.balanced_accuracy.value == 0.5
    assert equal.true_positive_rate is not None
    assert equal.true_positive_rate.value == 0


def test_the_best_threshold_tells_as_many_right_as_any_does() -> None:
    members, others = normal(70, 1.0), normal(50, seed=1)

    def told_right(threshold: float) -> float:
        return float((members >= threshold).double().mean() + (others < threshold).double().mean())

    assert told_right(best_threshold(members, others)) == pytest.approx(max(map(told_right, [*members, *others])))


def test_a_threshold_is_not_judged_on_what_it_was_chosen_on() -> None:
    found = [balanced_accuracy(normal(30, 0, run), normal(30, 0, 1000 + run), seeded(run)) for run in range(200)]
    assert sum(one.value for one in found) / 200 == pytest.approx(0.5, abs=0.015)
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in found)


def test_the_true_positive_rate_of_two_normal_distributions_is_known() -> None:
    found = true_positive_rate_at(normal(20000, 2.0), normal(20000, seed=1))
    assert found.value == pytest.approx(1 - NormalDist(2).cdf(NormalDist().inv_cdf(0.99)), abs=0.03)


@given(st.integers(100, 400), st.integers(0, 5))
def test_no_more_non_members_are_accused_than_allowed(count: int, seed: int) -> None:
    others = normal(count, seed=seed).round()  # with ties
    accused = true_positive_rate_at(others, others)
    assert accused.value <= 0.01


def test_calibration_takes_away_what_every_model_finds_hard() -> None:
    difficulty, reference_noise = 10 * normal(600), normal(600, seed=1)
    member_scores = difficulty + (torch.arange(600) < 300).double()
    plain = area_under_curve(member_scores[:300], member_scores[300:]).estimate
    scores = calibrated(member_scores, torch.stack([difficulty + 0.1 * reference_noise, difficulty]))
    assert plain.value < 0.6
    assert area_under_curve(scores[:300], scores[300:]).estimate.value > 0.99


def memorising(rows: Tensor, seed: int) -> Classifier:
    """A network that learned these rows by heart."""
    model = build(Mlp(hidden=(64,)), NOISY.input_shape, NOISY.num_classes, seed)
    fit(model, NOISY, rows, Training(epochs=40, batch_size=32, seed=seed), Context())
    return model


NOISY = blobs(rows=600, noise=400)


def test_the_attack_finds_members_of_the_original_and_none_of_the_retrained_model() -> None:
    forget, retain, unseen = NOISY.train_rows[:150], NOISY.train_rows[150:], NOISY.calibration_rows

    def scores(model: Classifier, rows: Tensor) -> Tensor:
        return margins(raw_logits(model, NOISY.train_images, rows, CPU), NOISY.train_labels[rows])

    references = [memorising(retain, seed) for seed in (7, 8)]

    def attacked(model: Classifier) -> Estimate:
        members, others = (
            calibrated(scores(model, rows), torch.stack([scores(other, rows) for other in references]))
            for rows in (forget, unseen)
        )
        return membership_attack(members, others, seeded()).auc.estimate

    original, retrained = attacked(memorising(NOISY.train_rows, 1)), attacked(memorising(retain, 4))
    assert original.value > 0.7
    assert retrained.high < original.low
    assert original.low > 0.5 >= retrained.low


def test_nothing_is_said_of_sets_too_small_or_not_finite() -> None:
    some, none = torch.rand(50), torch.zeros(0)
    for asked in (
        lambda: area_under_curve(none, some),
        lambda: area_under_curve(some, torch.full((3,), torch.nan)),
        lambda: balanced_accuracy(some, some[:1], seeded()),
        lambda: best_threshold(some, none),
        lambda: true_positive_rate_at(some, some),
        lambda: calibrated(some, torch.rand(0, 50)),
        lambda: calibrated(some, torch.rand(2, 49)),
    ):
        with pytest.raises(NotApplicable):
            asked()
    assert membership_attack(some, some, seeded()).true_positive_rate is None
