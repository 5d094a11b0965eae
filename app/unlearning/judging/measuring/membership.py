"""Membership inference: telling what a model was trained on from its outputs alone.

Scores are float [N], one per input; higher says member, everywhere here. Members are inputs that the model may
remember, non-members are inputs of the same kind that it never saw: for a forgotten class, its training rows are set
against its test rows; otherwise the shift between classes is taken for membership. An AUC of 0.5 can also come from a
weak attack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from app.unlearning.judging.measuring.intervals import Estimate, Z, independent_difference, share
from app.unlearning.judging.measuring.measurable import require_pairs, require_rows

LOW_FALSE_POSITIVE_RATE = 0.01
"""The false positive rate at which a confident attacker is judged (Carlini et al. 2022, section III)."""

_BISECTIONS = 60  # to the resolution of float64
_LEAST_ROWS = 2  # one to choose a threshold on, one to judge it on


@dataclass(frozen=True)
class AreaUnderCurve:
    """Chance that a member scores above a non-member, 0..1, ties counted half; 0.5 tells nothing."""

    estimate: Estimate
    """The area with its interval; its count is that of the smaller set."""
    standard_error: float
    """The standard error by Hanley and McNeil 1982; 0 where the sets are separated, where the interval still has a
    width."""


@dataclass(frozen=True)
class MembershipAttack:
    """One attack on one model."""

    auc: AreaUnderCurve
    balanced_accuracy: Estimate
    """0..1; 0.5 is chance."""
    true_positive_rate: Estimate | None
    """The rate at LOW_FALSE_POSITIVE_RATE, 0..1; that rate is chance. None for fewer than 100 non-members."""


def area_under_curve(members: Tensor, non_members: Tensor) -> AreaUnderCurve:
    """AUC of scores, float [N] and [M], with a standard error and an interval that stays within 0..1.

    The figure is the share of pairs in which the member scores higher, ties counted half (Hanley and McNeil 1982,
    doi:10.1148/radiology.143.1.7063747). The interval holds the values that the figure is no more than Z of their own
    standard errors away from, with both sizes replaced by their mean: Newcombe 2006, doi:10.1002/sim.2324, method 5.
    """
    _require_both(members, non_members)
    ordered = non_members.double().sort().values
    scores = members.double()
    below = torch.searchsorted(ordered, scores)  # [N], non-members below each member
    up_to = torch.searchsorted(ordered, scores, right=True)  # [N], and those level with it
    value = float((below + up_to).double().mean()) / (2 * len(ordered))
    low = 1 - _upper_bound(1 - value, len(members), len(non_members))
    high = _upper_bound(value, len(members), len(non_members))
    estimate = Estimate(value, low, high, min(len(members), len(non_members)))
    return AreaUnderCurve(estimate, _standard_error(value, len(members), len(non_members)))


def balanced_accuracy(members: Tensor, non_members: Tensor, generator: torch.Generator) -> Estimate:
    """Mean of the shares of members and of non-members told right, 0..1, by the best threshold; 0.5 is chance.

    The threshold is chosen on a random half of each set and judged on the other: chosen and judged on the same, it
    is above chance always.
    """
    _require_both(members, non_members, _LEAST_ROWS)
    chosen_on, judged = _halves(members, generator)
    others_chosen_on, others_judged = _halves(non_members, generator)
    threshold = best_threshold(chosen_on, others_chosen_on)
    edge = independent_difference(judged >= threshold, others_judged >= threshold)
    return Estimate((1 + edge.value) / 2, (1 + edge.low) / 2, (1 + edge.high) / 2, edge.count)


def best_threshold(members: Tensor, non_members: Tensor) -> float:
    """The score from which on "member" is right most often, in balanced accuracy; the lowest of equals.

    Scores are float [N] and [M]. The threshold lies half-way down to the next lower score, because members not seen yet
    may score a little less than those seen.
    """
    _require_both(members, non_members)
    scores = torch.cat([members.double(), non_members.double()])
    candidates = scores.sort().values  # [N + M]
    hits = 1 - torch.searchsorted(members.double().sort().values, candidates) / len(members)
    alarms = 1 - torch.searchsorted(non_members.double().sort().values, candidates) / len(non_members)
    best = candidates[(hits - alarms).argmax()]
    lower = candidates[candidates < best]
    return float((best + lower[-1]) / 2 if len(lower) else best)


def true_positive_rate_at(members: Tensor, non_members: Tensor, rate: float = LOW_FALSE_POSITIVE_RATE) -> Estimate:
    """Share of members above the score that at most `rate` of the non-members exceed, 0..1; `rate` is chance.

    Scores are float [N] and [M] (Carlini et al. 2022, arXiv 2112.03570). The interval is that of the share, for this
    threshold. Raises NotApplicable for fewer than 1 / rate non-members, whose false positive rate is not that fine.
    """
    _require_both(members, non_members)
    require_rows(non_members, "non-members", math.ceil(1 / rate))
    allowed = int(rate * len(non_members) + 1e-9)  # 0.01 * 300 is a little below 3
    threshold = non_members.double().sort(descending=True).values[allowed]
    return share(members.double() > threshold)


def membership_attack(members: Tensor, non_members: Tensor, generator: torch.Generator) -> MembershipAttack:
    """Every figure of one attack, of scores, float [N] and [M]."""
    enough = len(non_members) >= math.ceil(1 / LOW_FALSE_POSITIVE_RATE)
    return MembershipAttack(
        area_under_curve(members, non_members),
        balanced_accuracy(members, non_members, generator),
        true_positive_rate_at(members, non_members) if enough else None,
    )


def calibrated(scores: Tensor, reference_scores: Tensor) -> Tensor:
    """Scores, [N], minus the mean scores of S models that never saw the inputs, [S, N]; float64 [N].

    This takes away how hard each input is for any model (Watson et al. 2022, arXiv 2111.08440). Scores are `margins`.
    """
    require_rows(reference_scores, "reference models")
    require_pairs(scores, reference_scores.T, "scores")
    return scores.double() - reference_scores.double().mean(dim=0)


def _require_both(members: Tensor, non_members: Tensor, least: int = 1) -> None:
    require_rows(members, "members", least)
    require_rows(non_members, "non-members", least)


def _standard_error(value: float, members: float, non_members: float) -> float:
    """The standard error by Hanley and McNeil, of an AUC from this number of scores of each kind."""
    first, second = value / (2 - value), 2 * value**2 / (1 + value)
    above_members = (members - 1) * (first - value**2)
    above_non_members = (non_members - 1) * (second - value**2)
    variance = (value * (1 - value) + above_members + above_non_members) / (members * non_members)
    return math.sqrt(max(0.0, variance))


def _upper_bound(value: float, members: int, non_members: int) -> float:
    """The largest AUC that `value` is within Z standard errors of, by bisection; `value` or above."""
    size = (members + non_members) / 2
    unequal = math.sqrt(size**2 / (members * non_members))  # the mean stands for both in the sums, not in the product
    low, high = value, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle - value <= Z * unequal * _standard_error(middle, size, size):
            low = middle
        else:
            high = middle
    return high


def _halves(scores: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(scores), generator=generator)
    return scores[order[: len(scores) // 2]].double(), scores[order[len(scores) // 2 :]].double()
