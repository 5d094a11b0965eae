"""Figures of one model, and of two, from what they were observed to do."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

from torch import Tensor

from app.unlearning.judging.measuring.closeness import activation_distance, agreement
from app.unlearning.judging.measuring.intervals import Estimate, Z, share
from app.unlearning.judging.measuring.membership import area_under_curve
from app.unlearning.judging.verifying.observations import Observation, Outputs, ProbePlace

Scores = Callable[[Outputs], Tensor]
"""Membership scores, float64 [N]; a higher one says member."""


def probe_recall(place: ProbePlace) -> Callable[[Observation], Estimate]:
    """Recall of one probe on test inputs of the forgotten classes, 0..1."""
    return lambda seen: share(seen.probes[place])


def prototype_recall(shots: int) -> Callable[[Observation], Estimate]:
    """Recall of prototypes of `shots` images on test inputs of the forgotten classes, 0..1, over all draws."""
    return lambda seen: mean_with_interval(seen.prototypes[shots])


def attack(scores: Scores, *, about_classes: bool) -> Callable[[Observation], Estimate]:
    """The AUC of the forget set against test inputs, which are of the same classes where classes are forgotten."""

    def auc(seen: Observation) -> Estimate:
        others = seen.test_forget if about_classes else seen.test_retain
        return area_under_curve(scores(seen.forget), scores(others)).estimate

    return auc


def margin(outputs: Outputs) -> Tensor:
    """The margin of each input, float64 [N], as `Outputs.margins`."""
    return outputs.margins


def certainty(outputs: Outputs) -> Tensor:
    """The certainty of each input, float64 [N], as `Outputs.certainty`."""
    return outputs.certainty


def hits(outputs: Outputs) -> Tensor:
    """Whether the answer as served is right, bool [N]."""
    return outputs.served == outputs.labels


def known(outputs: Outputs) -> Tensor:
    """Whether the class that competes best is the right one, bool [N], whatever is refused."""
    return outputs.probabilities.argmax(dim=1) == outputs.labels


def accuracy(outputs: Outputs) -> Estimate:
    """The share of inputs whose answer as served is right, 0..1."""
    return share(hits(outputs))


def forget_distance(first: Observation, second: Observation) -> float:
    """The mean activation distance over the forget set, 0..sqrt(2)."""
    return float(activation_distance(first.forget.probabilities, second.forget.probabilities).mean())


def retained_agreement(first: Observation, second: Observation) -> float:
    """The share of retained test inputs to which both models give the same answer, 0..1."""
    return point(share(agreement(first.test_retain.probabilities, second.test_retain.probabilities)))


def mean_with_interval(values: Tensor) -> Estimate:
    """The mean of values, float [N], with a normal interval over inputs, which costs nothing where N is large."""
    mean = float(values.double().mean())
    half = Z * float(values.double().std(correction=0)) / sqrt(len(values))
    return Estimate(mean, mean - half, mean + half, len(values))


def point(value: Estimate | float) -> float:
    """The value of a figure, without its interval."""
    return value.value if isinstance(value, Estimate) else value
