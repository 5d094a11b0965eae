"""How far one more retrained model may be from others: the tables against a library, and what the limit does."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest
from scipy import stats

from app.unlearning.verifying.verdicts import ONE_SIDED, OUTLIER, TWO_SIDED, Side, tolerance


@pytest.mark.parametrize("place", range(len(TWO_SIDED)))
def test_the_quantiles_are_those_of_student(place: int) -> None:
    assert ONE_SIDED[place] == pytest.approx(stats.t.ppf(0.95, place + 1), abs=6e-4)
    assert TWO_SIDED[place] == pytest.approx(stats.t.ppf(0.975, place + 1), abs=6e-4)


@pytest.mark.parametrize("count", range(3, 3 + len(OUTLIER)))
def test_the_limits_of_outliers_are_those_of_grubbs(count: int) -> None:
    square = stats.t.ppf(1 - 0.05 / (2 * count), count - 2) ** 2
    expected = (count - 1) / math.sqrt(count) * math.sqrt(square / (count - 2 + square))
    assert OUTLIER[count - 3] == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("count", [2, 3, 5, 20])
@pytest.mark.parametrize("side", ["as", "at most"])
def test_one_more_of_the_same_kind_lies_beyond_the_limit_one_time_in_twenty(count: int, side: Side) -> None:
    draw, beyond, trials = random.Random(0), 0, 4000
    for _ in range(trials):
        *figures, one = (draw.gauss(0.0, 1.0) for _ in range(count + 1))
        allowed = tolerance(figures, 0.0, side)
        assert allowed is not None
        distance = one - fmean(figures)
        beyond += (abs(distance) if side == "as" else distance) > allowed
    assert beyond / trials == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("count", [3, 5, 20])
def test_one_in_twenty_sets_of_retrained_models_holds_one_that_is_called_an_outlier(count: int) -> None:
    draw, found, trials = random.Random(1), 0, 4000
    for _ in range(trials):
        figures = [draw.gauss(0.0, 1.0) for _ in range(count)]
        allowed = tolerance(figures, 0.0, "as", held_out=True)
        assert allowed is not None
        others = [figures[:place] + figures[place + 1 :] for place in range(count)]
        found += any(abs(one - fmean(rest)) > allowed for one, rest in zip(figures, others, strict=True))
    assert found / trials == pytest.approx(0.05, abs=0.012)


def test_models_that_happen_to_agree_are_not_taken_for_certainty() -> None:
    agreeing = tolerance([0.97, 0.97, 0.97], 0.01, "as")
    assert agreeing is not None
    assert 0.01 < agreeing < 0.03
    assert tolerance([0.97, 0.97, 0.97], 0.0, "as") == 0.0


def test_fewer_than_two_say_nothing_of_how_far_two_are_apart() -> None:
    assert tolerance([0.9], 0.01, "as") is None
    assert tolerance([], 0.01, "as") is None
    assert tolerance([0.8, 0.9], 0.01, "as", held_out=True) is None
