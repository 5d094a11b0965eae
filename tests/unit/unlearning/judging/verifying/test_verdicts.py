"""How far one more retrained model may be from others: the tables against a library, and what the limit does."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest
from scipy import stats

from app.unlearning.judging.verifying.verdicts import ONE_SIDED, OUTLIER, TWO_SIDED, Side, tolerance


@pytest.mark.parametrize("place", range(len(TWO_SIDED)))
def test_the_quantiles_are_those_of_student(place: int) -> None:
    assert ONE_SIDED[place] == pytest.approx(stats.t.ppf(0.95, place + 1), abs=6e-4)
    assert TWO_SIDED[place] == pytest.approx(stats.t.ppf(0.975, place + 1), abs=6e-4)


@pytest.mark.parametrize("count", range(3, 3 + len(OUTLIER)))
def test_the_limits_of_outliers_are_those_of_grubbs(count: int) -> None:
    square = stats.t.ppf(1 - 0.05 / (2 * count), count - 2) ** 2
    expected = (count - 1) / math.sqrt(count) * math.sqrt(square / (count - 2 + square))
    assert OUTLIER[count - 3] == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("error", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("count", [3, 5, 20])
@pytest.mark.parametrize("side", ["as", "at most"])
def test_one_more_of_the_same_kind_lies_beyond_the_limit_one_time_in_twenty_at_most(
    count: int, side: Side, error: float
) -> None:
    """Whatever part of what models differ by is the choice of inputs."""
    draw, beyond, trials = random.Random(0), 0, 3000
    for _ in range(trials):
        *figures, one = (draw.gauss(0.0, 1.0) for _ in range(count + 1))
        allowed = tolerance(figures, error, side)
        assert allowed is not None
        distance = one - fmean(figures)
        beyond += (abs(distance) if side == "as" else distance) > allowed
    assert beyond / trials < 0.062
    assert error > 0.05 or beyond / trials > 0.038


@pytest.mark.parametrize("error", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("count", [3, 5, 20])
def test_one_in_twenty_sets_of_retrained_models_at_most_holds_one_that_is_called_an_outlier(
    count: int, error: float
) -> None:
    draw, found, trials = random.Random(1), 0, 3000
    for _ in range(trials):
        figures = [draw.gauss(0.0, 1.0) for _ in range(count)]
        allowed = tolerance(figures, error, "as", held_out=True)
        assert allowed is not None
        others = [figures[:place] + figures[place + 1 :] for place in range(count)]
        found += any(abs(one - fmean(rest)) > allowed for one, rest in zip(figures, others, strict=True))
    assert 0.035 < found / trials < 0.065


def test_one_that_is_far_from_two_that_agree_is_an_outlier_beyond_what_inputs_explain() -> None:
    figures = [0.90, 0.901, 0.99]
    allowed = tolerance(figures, 0.005, "as", held_out=True)
    assert allowed is not None
    assert 0.99 - fmean(figures[:2]) > allowed
    unsure = tolerance(figures, 0.05, "as", held_out=True)
    assert unsure is not None
    assert 0.99 - fmean(figures[:2]) < unsure


def test_models_that_happen_to_agree_are_not_taken_for_certainty() -> None:
    agreeing = tolerance([0.97, 0.97, 0.97], 0.01, "as")
    assert agreeing is not None
    assert 0.02 < agreeing < 0.03
    assert tolerance([0.97, 0.97, 0.97], 0.0, "as") == 0.0


@pytest.mark.parametrize("figures", [[], [0.9], [0.8, 0.9]])
def test_fewer_than_three_say_nothing_of_how_far_two_are_apart(figures: list[float]) -> None:
    assert tolerance(figures, 0.01, "as") is None
    assert tolerance(figures, 0.01, "as", held_out=True) is None
