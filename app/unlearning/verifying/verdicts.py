"""What a verification consists of: measurements beside those of retrained models, criteria, and how far seeds may differ.

A figure of an unlearned model is judged against those of retrained models, not against 0: two models retrained with two
seeds differ, too, and by so much an unlearned one may.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from app.method_specs import Claim
from app.unlearning.measuring.intervals import Estimate, Z
from app.unlearning.metrics import METRICS, Metric

Side = Literal["at most", "at least", "as"]
"""On which side of the retrained models a figure may lie beyond what seeds differ by; "as": on neither."""

EFFECTS: dict[str, Metric] = {
    "refusal-rate": Metric(
        1,
        0,
        1,
        "share",
        "higher",
        "Share of inputs answered as forgotten; measuring.intervals.share.",
        "arXiv 1705.08500",
    ),
    "weights-changed": Metric(
        1,
        0,
        1,
        "yes or no",
        "higher",
        "1 where any parameter differs from the original's; verifying.claims.weights_digest.",
        "none",
    ),
}
"""Figures of the effect alone, which no attack or reference takes part in."""

SEED_SPREAD: dict[str, float] = {
    "accuracy": 0.004,
    "agreement": 0.005,
    "jensen-shannon": 0.015,
    "probe-recall": 0.01,
    "prototype-recall": 0.03,
    "mia-auc": 0.01,
    "cka": 0.03,
    "relearn-steps": 0.2,  # of the mean number of steps
}
"""Standard deviation over seeds that is presumed before any was seen: about that of small networks on MNIST."""
PRESUMED_SEEDS = 2
"""How many further seeds the presumption counts as."""
ALLOWED_DEVIATIONS = 3.0
"""Standard deviations from the retrained models' mean that are still no difference."""


@dataclass(frozen=True)
class Place:
    """Where a figure was measured; with the metric's name it is unique in a criterion."""

    set: str
    """`forget` and `retain`: training rows; `test_forget` and `test_retain`: test rows; `weights`: no inputs."""
    layer: str | None = None
    setting: str | None = None
    """What else it depends on, in words: how many images, which score, which reference."""


@dataclass(frozen=True)
class Measurement:
    """One figure of the unlearned model, beside those of the original and of retrained models."""

    metric: str
    version: int
    place: Place
    value: float
    low: float | None
    """The interval at 95 %, over inputs; None where there is none of this figure."""
    high: float | None
    original: float | None
    retrained: dict[str, float]
    """By seed. Where a figure is a distance to the retrained models: of each, to the others."""
    at_least: float | None = None
    at_most: float | None = None
    passed: bool | None = None
    """None: shown only, or nothing to judge it against."""
    power: bool | None = None
    """Whether the same threshold fails the original and passes retrained models; None where that could not be tried."""


@dataclass(frozen=True)
class Criterion:
    """One thing that must hold."""

    number: int
    name: str
    statement: str
    needed_for: Claim
    """The claim that it is part of the evidence for."""
    passed: bool | None
    """None where it could not be judged."""
    measurements: tuple[Measurement, ...] = ()
    controlled: bool = True
    """Whether the original and retrained models can be judged by it, too; refusals are fitted to neither."""


def measured(
    metric: str,
    place: Place,
    value: Estimate | float,
    *,
    original: float | None = None,
    retrained: Mapping[int, float] | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Measurement:
    """A figure, judged by the thresholds that are given; by none it is shown only."""
    point, low, high = (value.value, value.low, value.high) if isinstance(value, Estimate) else (value, None, None)
    judged = at_least is not None or at_most is not None
    within = (at_least is None or point >= at_least) and (at_most is None or point <= at_most)
    return Measurement(
        metric,
        (METRICS.get(metric) or EFFECTS[metric]).version,
        place,
        point,
        low,
        high,
        original,
        {str(seed): figure for seed, figure in (retrained or {}).items()},
        at_least,
        at_most,
        within if judged else None,
    )


def beside_retrained(
    metric: str,
    place: Place,
    value: Estimate | float,
    *,
    original: float | None,
    retrained: Mapping[int, float],
    side: Side,
) -> Measurement:
    """A figure judged by how far it is from retrained models, and by what those differ among each other."""
    at_least = at_most = None
    if retrained:
        figures = list(retrained.values())
        centre, allowed = fmean(figures), tolerance(metric, figures, _standard_error(value))
        at_least = max(centre - allowed, METRICS[metric].low) if side in ("at least", "as") else None
        at_most = min(centre + allowed, METRICS[metric].high) if side in ("at most", "as") else None
    return measured(metric, place, value, original=original, retrained=retrained, at_least=at_least, at_most=at_most)


def tolerance(metric: str, retrained: Sequence[float], standard_error: float = 0.0) -> float:
    """How far from the mean of these figures one more retrained model may be, in the metric's unit, above 0.

    ALLOWED_DEVIATIONS of a prediction by the figures' variance, moderated by the presumed one, so that two seeds that
    happen to agree are not taken for certainty (Smyth 2004, doi:10.2202/1544-6115.1027); the error of few inputs is
    part of what is presumed.
    """
    centre = fmean(retrained)
    presumed = SEED_SPREAD[metric] * (centre if metric == "relearn-steps" else 1.0)
    squares = sum((figure - centre) ** 2 for figure in retrained)
    prior = PRESUMED_SEEDS * (presumed**2 + standard_error**2)
    variance = (prior + squares) / (PRESUMED_SEEDS + len(retrained) - 1)
    return ALLOWED_DEVIATIONS * math.sqrt(variance * (1 + 1 / len(retrained)))


def all_passed(measurements: Iterable[Measurement]) -> bool | None:
    """False if any failed; None if any, or all, could not be judged; else True."""
    return together(measurement.passed for measurement in measurements)


def together(outcomes: Iterable[bool | None]) -> bool | None:
    """False if any is false; None if any is None, or if there are none; else True."""
    found = list(outcomes)
    if any(outcome is False for outcome in found):
        return False
    return True if found and None not in found else None


def _standard_error(value: Estimate | float) -> float:
    return (value.high - value.low) / (2 * Z) if isinstance(value, Estimate) else 0.0
