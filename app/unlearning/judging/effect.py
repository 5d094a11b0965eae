"""What a method alone did to the answers, before any row is struck or refusal fitted: how far they moved, which way.

Confidence is logit-scaled, log(p / (1 - p)) of the true class in nats (Carlini et al. 2022, arXiv 2112.03570, section
V-C): it goes on moving where probabilities have long been 1. Bits that differ are no effect, and neither is training on
what was to be forgotten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from app.unlearning.case import Case
from app.unlearning.data import Dataset, classes_of
from app.unlearning.judging.measurements import measured_rows
from app.unlearning.judging.measuring.closeness import margins_among
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.training import raw_logits
from app.unlearning.partition import Partition, rows_of

EFFECT_FLOOR = 0.01
"""The least mean change, in nats of confidence, of the answers to the forget set. A step of 1e-7 moves them by less
than .001, and the weakest honest run that was seen by .2 (docs/verification.md has the figures)."""

MOST_LEFT_BY_METHOD = 0.05
"""Share of a class that a method may leave answered before its row is struck, and still be called more than an edit."""


@dataclass(frozen=True)
class Shift:
    """How confidence moved on average, in nats, and the standard error by which chance moves it."""

    value: float
    error: float


@dataclass(frozen=True)
class Effect:
    """What a method did, on the forget training set (at most `reports.MEASURED_ROWS` rows of it)."""

    change: float
    """Mean absolute change of the confidence in the true label, nats, 0 or above."""
    change_anywhere: float
    """The mean absolute change with rows of the same classes included, to which no weight was ever fitted. With few
    rows to forget, a model retrained without them may by chance answer them as before, but hardly all the unseen rows
    as well."""
    forget_shift: Shift
    """Mean change on the forget set."""
    direction: Shift
    """The mean change on the forget set, minus the mean change on rows of the same classes to which no weight was ever
    fitted."""
    still_answered: float
    """Share of the forget set that is given its true class while all its classes compete, 0..1."""


def effect_of(case: Case, computed: Classifier, device: torch.device) -> Effect:
    """The effect of a method that made `computed`, with nothing struck yet, from the original; neither is touched.

    A data set without calibration rows of these classes compares with calibration rows of all others.
    """
    original, data, partition = case.original, case.data, case.partition
    forget, unseen = measured_rows(partition.train.forget), _unseen_rows(data, partition)
    rows = torch.cat([forget, unseen])
    labels = data.train_labels[rows]
    before, after = (_logits(model, data, rows, device) for model in (original, computed))
    competing = original.competing().cpu()
    moved = margins_among(after, labels, competing) - margins_among(before, labels, competing)
    ours, theirs = moved[: len(forget)], moved[len(forget) :]  # [F], [U]; the forget set comes first
    answered = after[: len(forget)].masked_fill(~computed.competing().cpu(), -torch.inf).argmax(dim=1)
    return Effect(
        change=float(ours.abs().mean()),
        change_anywhere=float(moved.abs().mean()),
        forget_shift=Shift(float(ours.mean()), _error_of_mean(ours)),
        direction=_beside_unseen(ours, labels[: len(forget)], theirs, labels[len(forget) :]),
        still_answered=float((answered == labels[: len(forget)]).double().mean()),
    )


def _unseen_rows(data: Dataset, partition: Partition) -> Tensor:
    """The calibration rows, int64 [N], rows to be forgotten now included: nothing was ever fitted to any of them."""
    rows = torch.cat([partition.calibration.forget, partition.calibration.retain])
    same = rows_of(data.train_labels, rows, classes_of(data.train_labels[partition.train.forget]))
    return same if len(same) else rows


def _logits(model: Classifier, data: Dataset, rows: Tensor, device: torch.device) -> Tensor:
    """Raw logits, float32 [N, C], made finite, so that the effect of a model that diverged can be told, too."""
    return raw_logits(model, data.train_images, rows, device).cpu().nan_to_num()


def _beside_unseen(ours: Tensor, our_labels: Tensor, theirs: Tensor, their_labels: Tensor) -> Shift:
    """The shift beside unseen rows, class by class, each weighted by how many of its rows are to be forgotten.

    Values are float64 [N] and [M], labels int64 [N] and [M]. The spread is that of the unseen rows within their
    classes: how a method scatters the rows that it forgets is no excuse. A single row has an error, too: that of one
    more draw from the unseen rows.
    """
    classes = sorted(classes_of(our_labels) & classes_of(their_labels))
    pairs = [(ours[our_labels == number], theirs[their_labels == number]) for number in classes] or [(ours, theirs)]
    total = sum(len(mine) for mine, _ in pairs)
    value = sum(len(mine) / total * float(mine.mean() - others.mean()) for mine, others in pairs)
    cells = [others for _, others in pairs]
    freedom = max(sum(len(cell) - 1 for cell in cells), 1)
    variance = sum(float((cell - cell.mean()).square().sum()) for cell in cells) / freedom
    weights = sum((len(mine) / total) ** 2 * (1 / len(mine) + 1 / len(others)) for mine, others in pairs)
    return Shift(value, math.sqrt(variance * weights))


def _error_of_mean(values: Tensor) -> float:
    return float(values.std(correction=0)) / math.sqrt(len(values))
