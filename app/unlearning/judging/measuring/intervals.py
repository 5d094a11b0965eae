"""Figures with the interval that they are uncertain by: shares, differences of shares, means, gaps to retrained models.

Hits are bool, one per input: whether the answer was right, the input refused, the attack successful. Intervals are at
95 % and say how the figure would move with other inputs of the same kind; only where several models or draws are given
do they include how it moves with those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from app.errors import NotApplicable
from app.unlearning.data import in_batches
from app.unlearning.judging.measuring.measurable import require_pairs, require_rows

CONFIDENCE = 0.95
"""The confidence of every interval."""
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors to either side of a normal estimate that hold CONFIDENCE."""
RESAMPLES = 1000
"""Bootstrap samples drawn."""

_HELD_VALUES = 2**21  # numbers of one block of resamples held at once: 16 MiB


@dataclass(frozen=True)
class Estimate:
    """A figure, the 95 % interval that contains it, and the number of inputs that it was measured on."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Gap:
    """How far a figure of the unlearned model is from that of retrained ones."""

    difference: Estimate
    """Unlearned minus the mean of the retrained, -1..1; 0 is the aim."""
    absolute: float
    """|difference|, 0..1."""
    seed_spread: float | None
    """Largest minus smallest figure of the retrained models, 0..1: what training alone moves. None for one model."""


def wilson(successes: float, trials: int) -> Estimate:
    """The share successes / trials with Wilson's score interval, 0..1.

    The interval holds its confidence for shares near 0 and 1, where the normal interval has no width (Wilson 1927,
    doi:10.1080/01621459.1927.10502953). Raises NotApplicable for no trials.
    """
    if trials < 1:
        raise NotApplicable("There are no inputs to count, so there is no share of them; name a larger set.")
    share = successes / trials
    centre = (share + Z * Z / (2 * trials)) / (1 + Z * Z / trials)
    half = Z / (1 + Z * Z / trials) * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials**2))
    return Estimate(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)), trials)


def error_of_share(value: float, trials: int) -> float:
    """How much the choice of `trials` inputs moves a share, 0..1: half of Wilson's interval, in standard errors."""
    found = wilson(value * trials, trials)
    return (found.high - found.low) / (2 * Z)


def share(hits: Tensor) -> Estimate:
    """The share of hits, bool [N]: accuracy, refusal rate or success of an attack, 0..1, with Wilson's interval."""
    return wilson(int(hits.sum()), len(hits))


def independent_difference(first: Tensor, second: Tensor) -> Estimate:
    """Share of hits of `first`, bool [N], minus that of `second`, bool [M], of other inputs; -1..1.

    Newcombe's hybrid score interval (1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I).
    """
    return _difference(share(first), share(second), correlation=0.0)


def paired_difference(first: Tensor, second: Tensor) -> Estimate:
    """Share of hits of `first` minus that of `second`, both bool [N] of the same inputs; -1..1.

    Newcombe's hybrid score interval for paired shares, his method 10 (1998,
    doi:10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C): narrower than for independent sets where
    the two models miss the same inputs.
    """
    require_pairs(first, second, "answers")
    return _difference(share(first), share(second), _correlation(first, second))


def gap(unlearned: Tensor, retrained: Tensor, generator: torch.Generator) -> Gap:
    """How far a mean of the unlearned model is from the mean of retrained ones; nearer 0 is better.

    Values are about the same N inputs: bool hits, or 0..1 where an attack is drawn several times and its hits are
    averaged over draws. They are [N] for the unlearned model, and [N] or [S, N] for S retrained ones (S seeds). Hits of
    one model each are compared by `paired_difference`; anything else by a bootstrap over inputs, the same for all
    models, and over retrained models. The unlearned model would differ with its seed, too, as retrained ones do: a gap
    within `seed_spread` does not count.
    """
    ours, theirs = _repeats(unlearned), _repeats(retrained)
    require_pairs(ours.T, theirs.T, "answers")
    if len(ours) == len(theirs) == 1 and unlearned.dtype == retrained.dtype == torch.bool:
        difference = paired_difference(ours[0] > 0, theirs[0] > 0)
    else:
        means, their_means = _resampled_means([ours, theirs], generator)
        difference = _percentiles(float(ours.mean() - theirs.mean()), means - their_means, ours.shape[1])
    by_model = theirs.mean(dim=1)  # [S, N] -> [S]
    spread = float(by_model.max() - by_model.min()) if len(theirs) > 1 else None
    return Gap(difference, abs(difference.value), spread)


def _difference(first: Estimate, second: Estimate, correlation: float) -> Estimate:
    """First minus second share, their score intervals combined as their standard errors would be."""
    value = first.value - second.value
    below = _combined(first.value - first.low, second.high - second.value, correlation)
    above = _combined(first.high - first.value, second.value - second.low, correlation)
    return Estimate(value, max(-1.0, value - below), min(1.0, value + above), min(first.count, second.count))


def _combined(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(0.0, first**2 - 2 * correlation * first * second + second**2))


def _correlation(first: Tensor, second: Tensor) -> float:
    """The correlation of two bool [N], -1..1, with Newcombe's continuity correction; 0 if one is constant."""
    count, ours, theirs = len(first), int(first.sum()), int(second.sum())
    variance = ours * (count - ours) * theirs * (count - theirs)
    if variance == 0:
        return 0.0
    both = int((first & second).sum())
    covariance = both * (count - ours - theirs + both) - (ours - both) * (theirs - both)
    corrected = max(covariance - count / 2, 0.0) if covariance > 0 else float(covariance)
    return corrected / math.sqrt(variance)


def _repeats(values: Tensor) -> Tensor:
    """Values [N] or [R, N] as float64 [R, N]."""
    rows = values.double() if values.dim() > 1 else values.double().unsqueeze(0)
    require_rows(rows, "repeats")
    require_rows(rows.T, "answers")
    return rows


def _resampled_means(groups: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    """For each group, float64 [R, N], its resampled means, float64 [RESAMPLES]; all groups draw the same inputs."""
    size = groups[0].shape[1]
    means: list[list[Tensor]] = [[] for _ in groups]
    for block in in_batches(torch.arange(RESAMPLES), max(1, _HELD_VALUES // size)):
        drawn = torch.randint(size, (len(block), size), generator=generator)  # [B, N], inputs of each of B samples
        weights = torch.zeros(drawn.shape, dtype=torch.float64)  # [B, N], how often, over N
        weights.scatter_add_(1, drawn, torch.full((), 1 / size, dtype=torch.float64).expand_as(weights))
        for group, collected in zip(groups, means, strict=True):
            # One fewer than there are: as many would show (R - 1) / R of the variance, half of it for two (Rao and Wu 1988).
            repeats = torch.randint(len(group), (len(block), max(1, len(group) - 1)), generator=generator)
            collected.append((weights @ group.T).gather(1, repeats).mean(dim=1))
    return [torch.cat(collected) for collected in means]


def _percentiles(value: float, means: Tensor, count: int) -> Estimate:
    tails = torch.tensor([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], dtype=torch.float64)
    low, high = means.quantile(tails).tolist()
    return Estimate(value, min(low, value), max(high, value), count)
