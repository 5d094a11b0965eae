"""Which hidden weights a forget request replaces: those that matter to what is forgotten, and to nothing that stays.

Without tasks, weights are ranked by a measured contrast of forget set and retain set. For a task in a static network,
only weights whose importance is for the most part the task's own can be chosen, ranked by that importance; in a growing
network, only weights of the units that the task added. A request for several tasks chooses for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from app.errors import NotApplicable
from app.specs.architectures import Gru, Lstm
from app.specs.learning import Progressive, forgotten_tasks
from app.specs.methods.edit import RECURRENT_SHARE, SHARE, EditSettings
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.growing import owners
from app.unlearning.learning.synaptic_intelligence import Importance
from app.unlearning.methods.importance import ByTensor, Contrast, hidden_weights, measured_contrast
from app.unlearning.partition import Rows, rows_of

HISTOGRAM_BINS = 10


@dataclass(frozen=True)
class Choice:
    """The hidden weights to replace, by parameter name."""

    positions: dict[str, Tensor]
    """int64, flat positions in the logical order of the parameter."""
    importance_histogram: dict[str, list[int]]
    """How many weights have 0 to .1, .1 to .2, … .9 to 1 of their importance from what is forgotten; weights without
    importance are left out, and in a growing network also the weights that the task did not add."""


@dataclass(frozen=True)
class _Candidates:
    """The weights that can be chosen for one task, or for classes without tasks."""

    contrast: Contrast
    pool: ByTensor | None = None
    """bool, shaped like each weight: the weights of which a share is replaced; None: all of a layer."""
    own: ByTensor | None = None
    """bool, shaped like each weight: the weights that are enough the task's own; None: all."""


def choose_weights(case: Case, settings: EditSettings, context: Context, *, seed: int) -> Choice:
    """Choose on the weights as they are before anything is replaced; nothing at scope `output`.

    Raises NotApplicable where the importance of a task of a static network that has classes to forget is not at hand.
    """
    if settings.scope == "output":
        return Choice({}, {})
    share = share_of(case.original, settings)
    found = list(_candidates(case, settings, context, seed=seed))
    names = list(hidden_weights(case.original))
    return Choice(
        positions={name: _union([_positions(each, name, share) for each in found]) for name in names},
        importance_histogram={name: _histogram(found, name) for name in names},
    )


def share_of(model: Classifier, settings: EditSettings) -> float:
    """The share of each layer's (or block's) weights to replace: as asked, or the default of the kind of network."""
    if settings.share is not None:
        return settings.share
    recurrent = isinstance(model.architecture, Gru | Lstm) and not model.learning.tasks
    return RECURRENT_SHARE if recurrent else SHARE[model.learning.mode]


def top_share(ratio: Tensor, share: float) -> Tensor:
    """Flat positions, int64, of the share of a layer's weights, of any shape, with the highest ratio; never ratio 0."""
    flat = ratio.flatten()  # [P]
    highest = flat.argsort(descending=True, stable=True)[: round(share * len(flat))]
    return highest[flat[highest] > 0]


def _candidates(case: Case, settings: EditSettings, context: Context, *, seed: int) -> Iterator[_Candidates]:
    model, data, partition = case.original, case.data, case.partition

    def measured(rows: Rows) -> Contrast:
        return measured_contrast(model, data, rows, settings.selection, context, seed=seed)

    if not model.learning.tasks:
        yield _Candidates(measured(partition.train))
    gone = forgotten_tasks(model.learning.tasks, partition.forgotten_classes)
    for task, classes in enumerate(model.learning.tasks):
        rows = Rows(rows_of(data.train_labels, partition.train.forget, classes), partition.train.retain)
        if not len(rows.forget):
            continue
        if isinstance(model.learning, Progressive):
            block = {name: owner == task for name, owner in owners(model).items()}
            yield _Candidates(measured(rows), pool=block)
            continue
        learned = _learned_contrast(model, case.parent.importance, task, gone)
        own = {name: learned.share(name) >= settings.threshold for name in learned.forget}
        by_importance = task in gone and settings.selection != "sensitivity"
        yield _Candidates(learned if by_importance else measured(rows), own=own)


def _learned_contrast(model: Classifier, importance: Importance, task: int, gone: list[int]) -> Contrast:
    """The task's own importance, as gathered while it was learned, against that of all other tasks that stay."""
    staying = [number for number in range(len(model.learning.tasks)) if number not in {task, *gone}]
    if task not in importance:
        raise NotApplicable(f"The importance of task {task} is not at hand; forget it with scope output.")
    device = model.head.weight.device
    own = {name: importance[task][name].to(device) for name in hidden_weights(model)}
    others = [importance[number] for number in staying if number in importance]
    retain = {
        name: sum((other[name].to(device) for other in others), torch.zeros_like(values))
        for name, values in own.items()
    }
    return Contrast(own, retain)


def _positions(candidates: _Candidates, name: str, share: float) -> Tensor:
    """Flat positions, int64, in one layer's weight: those of the highest ratio among the candidates."""
    ratio = candidates.contrast.ratio(name)
    if candidates.own is not None:
        ratio = ratio.where(candidates.own[name], 0.0)
    if candidates.pool is None:
        return top_share(ratio, share)
    pool = candidates.pool[name].to(ratio.device).flatten().nonzero().flatten()  # flat positions
    return pool[top_share(ratio.flatten()[pool], share)]


def _union(positions: list[Tensor]) -> Tensor:
    """All positions, int64 [M], each once; where there is one task, in the order of their rank."""
    return positions[0] if len(positions) == 1 else torch.cat(positions).unique()  # type: ignore[no-untyped-call]  # torch's


def _histogram(found: list[_Candidates], name: str) -> list[int]:
    """The histogram of one layer, over all tasks with classes to forget."""
    shares = []
    for candidates in found:
        share = candidates.contrast.share(name)
        shares.append(share if candidates.pool is None else share[candidates.pool[name].to(share.device)])
    counted = torch.cat([share[~share.isnan()] for share in shares])
    bins = (counted * HISTOGRAM_BINS).long().clamp(max=HISTOGRAM_BINS - 1)
    counts: list[int] = torch.bincount(bins, minlength=HISTOGRAM_BINS).tolist()
    return counts
