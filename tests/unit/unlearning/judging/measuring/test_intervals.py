from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.errors import NotApplicable
from app.unlearning.judging.measuring.intervals import (
    Estimate,
    gap,
    independent_difference,
    paired_difference,
    share,
    wilson,
)

HITS = st.lists(st.booleans(), min_size=1, max_size=30).map(torch.tensor)
PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30).map(
    lambda pairs: torch.tensor(pairs).unbind(dim=1)
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def holds(found: Estimate, low: float, high: float) -> bool:
    """Whether the figure is in its interval, and the interval in the range."""
    return low <= found.low <= found.value <= found.high <= high


def draws(share_of_hits: float, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=seeded(seed)) < share_of_hits


def test_wilsons_interval_is_that_of_newcombes_table() -> None:
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I: score method without continuity correction.
    for hits, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(hits, of)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@given(HITS)
def test_the_interval_of_a_share_holds_the_share_and_always_has_a_width(hits: torch.Tensor) -> None:
    found = share(hits)
    assert holds(found, 0, 1)
    assert found.low < found.high
    assert found.count == len(hits)


def test_intervals_of_shares_cover_the_truth_about_as_often_as_they_say() -> None:
    truth, trials = 0.93, 80
    found = [share(hits) for hits in draws(truth, 500, trials)]
    assert 0.92 < sum(one.low <= truth <= one.high for one in found) / 500 <= 1


@given(PAIRS)
def test_a_paired_difference_holds_its_figure_and_turns_its_sign_with_the_models(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    first, second = pair
    found, turned = paired_difference(first, second), paired_difference(second, first)
    assert holds(found, -1, 1)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low), abs=1e-12)


@given(HITS, HITS)
def test_a_difference_of_independent_shares_holds_its_figure(first: torch.Tensor, second: torch.Tensor) -> None:
    assert holds(independent_difference(first, second), -1, 1)


def test_the_interval_of_an_independent_difference_is_newcombes() -> None:
    # Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10: 56/70 - 48/80.
    hits = torch.arange(70) < 56, torch.arange(80) < 48
    found = independent_difference(*hits)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_the_interval_of_a_paired_difference_is_newcombes() -> None:
    # Newcombe 1998, Statistics in Medicine 17, 2635-2650, table III, method 10: 36 both, 12 first alone, 2 second, 0 none.
    first = torch.tensor([True] * 48 + [False] * 2)
    second = torch.tensor([True] * 36 + [False] * 12 + [True] * 2)
    found = paired_difference(first, second)
    assert (found.low, found.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_pairing_narrows_the_interval_of_models_that_miss_the_same_inputs() -> None:
    first = draws(0.7, 400)
    second = first ^ draws(0.03, 400, seed=1)
    paired, independent = paired_difference(first, second), independent_difference(first, second)
    assert paired.high - paired.low < 0.5 * (independent.high - independent.low)


def test_a_bootstrap_interval_is_near_the_normal_one_for_many_inputs() -> None:
    values = torch.randn(2000, generator=seeded(), dtype=torch.float64)
    found = gap(values, torch.zeros(2000), seeded(1)).difference
    half = 1.96 * float(values.std()) / math.sqrt(2000)
    assert found.value == pytest.approx(float(values.mean()))
    assert (found.value - found.low, found.high - found.value) == pytest.approx((half, half), rel=0.12)


def test_the_bootstrap_draws_from_its_generator_alone() -> None:
    values = torch.randn(50, generator=seeded())
    state = torch.get_rng_state()
    assert gap(values, values.flip(0), seeded(3)) == gap(values, values.flip(0), seeded(3))
    assert torch.equal(torch.get_rng_state(), state)


def test_repeats_that_differ_widen_a_bootstrap_interval() -> None:
    noise, nothing = torch.rand(200, generator=seeded(), dtype=torch.float64), torch.zeros(200)
    alike = gap(torch.stack([noise, noise, noise]), nothing, seeded(1)).difference
    apart = gap(torch.stack([noise - 1, noise, noise + 1]), nothing, seeded(1)).difference
    assert apart.value == pytest.approx(alike.value)
    assert apart.high - apart.low > 3 * (alike.high - alike.low)


def test_identical_models_have_no_gap() -> None:
    hits = draws(0.9, 300)
    found = gap(hits, hits, seeded())
    assert (found.difference.value, found.absolute, found.seed_spread) == (0, 0, None)
    assert found.difference.low < 0 < found.difference.high


def test_a_gap_is_to_the_mean_of_the_retrained_models() -> None:
    retrained = torch.stack([torch.arange(100) < right for right in (80, 90, 100)])
    found = gap(torch.arange(100) < 50, retrained, seeded())
    assert found.difference.value == pytest.approx(-0.4)
    assert found.absolute == pytest.approx(0.4)
    assert found.seed_spread == pytest.approx(0.2)
    assert -1 <= found.difference.low < -0.4 < found.difference.high < 0


def test_a_gap_of_shares_over_draws_is_that_of_the_means() -> None:
    ours, theirs = torch.full((50,), 0.5), torch.linspace(0, 0.5, 50)
    found = gap(ours, theirs, seeded()).difference
    assert found.value == pytest.approx(0.25)
    assert found.low < 0.25 < found.high


def test_nothing_is_said_of_empty_sets_or_of_other_inputs() -> None:
    none, some = torch.zeros(0, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    for asked in (
        lambda: share(none),
        lambda: paired_difference(none, none),
        lambda: paired_difference(some, some[:2]),
        lambda: independent_difference(some, none),
        lambda: gap(some, some[:2], seeded()),
        lambda: gap(none, none, seeded()),
        lambda: gap(torch.tensor([1.0, float("nan")]), torch.zeros(2), seeded()),
    ):
        with pytest.raises(NotApplicable):
            asked()
