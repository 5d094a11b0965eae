from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from app.errors import NotApplicable
from app.specs.architectures import Mlp
from app.specs.training import Training
from app.unlearning.context import Context
from app.unlearning.judging.measuring.closeness import (
    activation_distance,
    agreement,
    jensen_shannon,
    margins,
    three_sample_test,
)
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit, raw_logits
from app.unlearning.partition import Partition
from tests.oracles import looped_jensen_shannon
from tests.unit.unlearning.blobs import CPU, blobs, fitted

WEIGHTS = st.lists(st.floats(0, 10), min_size=12, max_size=12).filter(
    lambda weights: all(sum(weights[start : start + 4]) > 0.01 for start in (0, 4, 8))
)


def rows_of(weights: list[float]) -> Tensor:
    """Three distributions over four classes."""
    table = torch.tensor(weights, dtype=torch.float64).view(3, 4)
    return table / table.sum(dim=1, keepdim=True)


def random_rows(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(dim=-1)


def test_equal_outputs_are_at_no_distance_and_agree() -> None:
    rows = random_rows(20, 5, seed=0)
    assert jensen_shannon(rows, rows).max() < 1e-12
    assert activation_distance(rows, rows).max() == 0
    assert agreement(rows, rows).all()


def test_disjoint_outputs_are_as_far_apart_as_can_be() -> None:
    rows = torch.eye(4)
    other = rows.roll(1, dims=0)
    assert torch.equal(jensen_shannon(rows, other), torch.ones(4, dtype=torch.float64))
    assert activation_distance(rows, other).tolist() == pytest.approx([math.sqrt(2)] * 4)
    assert not agreement(rows, other).any()


def test_the_divergence_does_not_shrink_with_classes_that_neither_model_answers() -> None:
    first, second = random_rows(6, 3, seed=0), random_rows(6, 3, seed=1)
    nothing = torch.zeros(6, 97)
    wide = jensen_shannon(torch.cat([first, nothing], dim=1), torch.cat([second, nothing], dim=1))
    assert wide.tolist() == pytest.approx(jensen_shannon(first, second).tolist(), abs=1e-12)


@given(WEIGHTS, WEIGHTS)
def test_the_divergence_is_symmetric_within_its_range_and_that_of_the_definition(
    one: list[float], other: list[float]
) -> None:
    first, second = rows_of(one), rows_of(other)
    found = jensen_shannon(first, second)
    assert torch.equal(found, jensen_shannon(second, first))
    assert bool(((found >= 0) & (found <= 1)).all())
    assert found.tolist() == pytest.approx(looped_jensen_shannon(first, second), abs=1e-9)


def test_a_margin_is_the_log_odds_of_the_true_class() -> None:
    logits = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30) % 6
    own = logits.double().softmax(dim=1).gather(1, labels.unsqueeze(1)).squeeze(1)
    assert margins(logits, labels).tolist() == pytest.approx((own / (1 - own)).log().tolist(), abs=1e-9)


def test_a_margin_is_finite_where_the_probability_has_long_become_one() -> None:
    found = margins(torch.tensor([[1000.0, 0.0, 0.0], [-1000.0, 0.0, 0.0]]), torch.tensor([0, 0]))
    assert found.tolist() == pytest.approx([1000 - math.log(2), -1000 - math.log(2)])


def test_the_p_value_is_uniform_where_neither_model_is_nearer() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [
        three_sample_test(rows[0], rows[1], rows[2], generator).p_value
        for rows in (random_rows(3, 40, 3, seed=run) for run in range(200))
    ]
    values = torch.tensor(found).sort().values
    largest_gap = (values - (torch.arange(200) + 0.5) / 200).abs().max()
    assert float(largest_gap) < 1.63 / math.sqrt(200)  # Kolmogorov-Smirnov at 1 %
    assert 0 < float((values <= 0.05).float().mean()) < 0.1


def test_copies_of_one_reference_give_no_evidence() -> None:
    rows = random_rows(50, 4, seed=0)
    other = random_rows(50, 4, seed=1)
    found = three_sample_test(rows, other, other, torch.Generator().manual_seed(0))
    assert (found.statistic, found.p_value) == (0, 1)


def blobs_without_two() -> tuple[Classifier, Classifier, Classifier, Tensor, Tensor]:
    """Original, two retrained without class 2; test images and the rows of the forgotten class."""
    data = blobs(noise=70)
    partition = Partition.of(data, [2])
    retrained = []
    for seed in (1, 2):
        model = build(Mlp(hidden=(32,)), data.input_shape, 4, seed)
        model.mark_forgotten([2])
        fit(model, data, partition.train.retain, Training(epochs=6, batch_size=32, seed=seed), Context())
        retrained.append(model)
    return fitted(data), retrained[0], retrained[1], data.test_images, partition.test.forget


def test_an_untouched_model_is_nearer_the_original_and_a_retrained_one_nearer_another_retrained() -> None:
    original, first, second, images, rows = blobs_without_two()
    o, r, s = (
        model.serve(raw_logits(model, images, rows, CPU)).double().softmax(dim=1) for model in (original, first, second)
    )
    generator = torch.Generator().manual_seed(0)
    untouched = three_sample_test(o, r, o, generator)
    passed = three_sample_test(s, r, o, generator)
    assert untouched.statistic > 0
    assert untouched.p_value > 0.9
    assert passed.statistic < 0
    assert passed.p_value < 0.01
    assert jensen_shannon(s, r).mean() < jensen_shannon(o, r).mean()


def test_nothing_is_said_of_what_cannot_be_compared() -> None:
    rows = random_rows(4, 3, seed=0)
    generator = torch.Generator()
    for asked in (
        lambda: jensen_shannon(rows[:0], rows[:0]),
        lambda: jensen_shannon(rows, rows[:2]),
        lambda: jensen_shannon(rows, 2 * rows),
        lambda: jensen_shannon(rows, rows.log()),
        lambda: activation_distance(rows * torch.nan, rows),
        lambda: agreement(rows[:0], rows[:0]),
        lambda: agreement(rows, rows * torch.nan),
        lambda: margins(rows[:, :1], torch.zeros(4, dtype=torch.int64)),
        lambda: margins(torch.tensor([[0.0, -torch.inf]]), torch.tensor([1])),
        lambda: three_sample_test(rows, rows, rows[:2], generator),
    ):
        with pytest.raises(NotApplicable):
            asked()
