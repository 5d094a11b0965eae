"""What a verification consists of: measurements beside those of retrained models, criteria, and how far seeds may differ.

A figure of an unlearned model is judged against those of retrained models, not against 0: two models retrained with two
seeds differ, too, and an unlearned one may differ by the same amount. Only retrained models of the same recipe can say
how much that is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, variance
from typing import Literal

from app.specs.claims import LEAST_REFERENCES, Claim
from app.unlearning.judging.measuring.intervals import Estimate, Z
from app.unlearning.judging.metrics import METRICS, Metric

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
    "nearer-than-untouched": Metric(
        1,
        -1,
        1,
        "bits",
        "lower",
        "Mean over inputs and retrained models of the Jensen-Shannon divergence of the result, less that of the untouched "
        "original (of classes, with their rows struck); below 0: nearer.",
        "arXiv 2001.03698, for the divergence",
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
"""Figures of the effect alone, in which no attack or reference takes part."""

ONE_SIDED = (6.314, 2.92, 2.353, 2.132, 2.015, 1.943, 1.895, 1.86, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753,
             1.746, 1.74, 1.734, 1.729)  # fmt: skip
"""Student's t at 95 %, one-sided, of 1, 2, .. degrees of freedom."""
TWO_SIDED = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
             2.12, 2.11, 2.101, 2.093)  # fmt: skip
"""Student's t at 95 %, two-sided, of 1, 2, .. degrees of freedom."""
OUTLIER = (1.1543, 1.4813, 1.715, 1.8871, 2.02, 2.1266, 2.215, 2.29, 2.3547, 2.4116, 2.462, 2.5073, 2.5483, 2.5857, 2.62,
           2.6516, 2.6809, 2.7082)  # fmt: skip
"""Grubbs' two-sided limit at 5 %, of 3, 4, .. figures: the farthest of them lies beyond it one time in twenty by chance."""

_ONE_SIDED_Z = 1.645  # quantile of the normal distribution at 95 %


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
    """The lower end of the 95 % interval over inputs; None for a figure without an interval."""
    high: float | None
    original: float | None
    retrained: dict[str, float]
    """The figure of each retrained model, by seed; where it is a distance to retrained models, the distance to the
    others."""
    struck: float | None = None
    """The figure of the original with the rows of the classes to forget struck and nothing else changed; None for
    samples."""
    at_least: float | None = None
    at_most: float | None = None
    passed: bool | None = None
    """Whether the figure passes; None where it is only shown, or where there is nothing to judge it against."""
    power: bool | None = None
    """Whether it fails the original, of classes with their rows struck, and passes every retrained model; None where that
    could not be tried."""


@dataclass(frozen=True)
class Criterion:
    """A criterion: one thing that must hold of a result."""

    number: int
    name: str
    statement: str
    needed_for: Claim
    """The claim that it is part of the evidence for."""
    passed: bool | None
    """Whether the criterion holds; None where it could not be judged."""
    measurements: tuple[Measurement, ...] = ()
    controlled: bool = True
    """Whether the original and retrained models can be judged by it, too; refusals are fitted to neither."""
    power: bool | None = None
    """Whether a figure of a criterion that compares with retrained models has power; without, the criterion supports
    nothing and prevents nothing. None where that could not be tried."""


@dataclass(frozen=True)
class PeerFigures:
    """One figure of the models that a result is held against; a model that is not there has None."""

    original: float | None = None
    struck: float | None = None
    """The figure of the original with the rows of the classes to forget struck, see `Measurement`."""
    retrained: Mapping[int, float] = field(default_factory=dict)
    """The figure of each retrained model, by seed."""
    held_out: int | None = None
    """The seed of the model that is judged, where it is one of the retrained: it is held against the others."""


_ALONE = PeerFigures()


def measured(
    metric: str,
    place: Place,
    value: Estimate | float,
    peers: PeerFigures = _ALONE,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Measurement:
    """A figure, judged by the thresholds that are given; without a threshold it is only shown."""
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
        peers.original,
        {str(seed): figure for seed, figure in peers.retrained.items()},
        peers.struck,
        at_least,
        at_most,
        within if judged else None,
    )


def beside_retrained(
    metric: str,
    place: Place,
    value: Estimate | float,
    peers: PeerFigures,
    side: Side,
    *,
    standard_error: float | None = None,
    coupling: float = 1.0,
) -> Measurement:
    """A figure judged by how far it is from retrained models, beside how far these are from each other.

    `standard_error` is by how much the choice of inputs moves the figure; unless it is given, the interval says it.
    `coupling` is the one of `tolerance`.
    """
    at_least = at_most = None
    if standard_error is None:
        standard_error = (value.high - value.low) / (2 * Z) if isinstance(value, Estimate) else 0.0
    held_out = peers.held_out
    allowed = tolerance(
        list(peers.retrained.values()), standard_error, side, held_out=held_out is not None, coupling=coupling
    )
    if allowed is not None:
        centre = fmean(figure for seed, figure in peers.retrained.items() if seed != held_out)
        at_least = max(centre - allowed, METRICS[metric].low) if side in ("at least", "as") else None
        at_most = min(centre + allowed, METRICS[metric].high) if side in ("at most", "as") else None
    return measured(metric, place, value, peers, at_least=at_least, at_most=at_most)


def tolerance(
    retrained: Sequence[float],
    standard_error: float,
    side: Side,
    *,
    held_out: bool = False,
    coupling: float = 1.0,
) -> float | None:
    """How far from the mean of these figures one more retrained model may be, in the metric's unit; None for too few.

    Student's prediction limit: one more of the same kind lies beyond it one time in twenty at most. It is no narrower than
    what the choice of inputs alone explains, `standard_error`, so that models that happen to agree are not taken for
    certainty.

    A model that is one of them, `held_out`, may be so far from the mean of the others that it is no outlier among all
    (Grubbs 1969, doi:10.2307/1266761), beyond what the choice of inputs explains. `coupling` is by how much the figures of
    retrained models differ more than the models do, because each is computed beside the others.
    """
    count = len(retrained)
    if count < LEAST_REFERENCES:
        return None
    spread = math.sqrt(variance(retrained)) / coupling
    if held_out:
        outlier = _quantile(OUTLIER, count - LEAST_REFERENCES) * spread * coupling * count / (count - 1)
        return max(outlier, Z * standard_error * math.sqrt(1 + 1 / (count - 1)))
    student = _quantile(TWO_SIDED if side == "as" else ONE_SIDED, count - 2)
    chance = Z if side == "as" else _ONE_SIDED_Z
    return max(student * spread, chance * standard_error) * math.sqrt(1 + 1 / count)


def _quantile(table: tuple[float, ...], place: int) -> float:
    """The quantile in a table; for more models than the table knows it is the last value, which is close."""
    return table[min(place, len(table) - 1)]


def all_passed(measurements: Iterable[Measurement]) -> bool | None:
    """False if any failed; None if any, or all, could not be judged; else True."""
    return together(measurement.passed for measurement in measurements)


def together(outcomes: Iterable[bool | None]) -> bool | None:
    """False if any is false; None if any is None, or if there are none; else True."""
    found = list(outcomes)
    if any(outcome is False for outcome in found):
        return False
    return True if found and None not in found else None
