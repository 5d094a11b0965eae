"""Tasks of a model: resolved when it is made, and checked when it is to learn further ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from app.database.tables import ModelRow, VersionRow
from app.datasets import catalogue
from app.datasets.dataset_spec import DatasetSpec
from app.errors import ClassNotFound, Conflict, FieldError, InvalidInput, NoServingVersion, NotApplicable
from app.operations.lookups import waiting_jobs
from app.specs.architectures import Architecture, Torchvision, hidden_widths
from app.specs.learning import Learning, Progressive, Sisa, Standard, Tasks, full_grown
from app.specs.training import Training

_WIDEST = 4096
"""The most units of a grown layer, which is also the limit of `specs.Width` for a layer that does not grow."""
_MOST_FAULTS = 100


def resolve(learning: Learning, architecture: Architecture, dataset: DatasetSpec) -> Learning:
    """How a new model of this data set learns, with its tasks and its growth named.

    Raises `InvalidInput` for a class in two tasks and for a growth that does not fit the layers, `ClassNotFound`, and
    `NotApplicable` for networks that cannot grow; all but the last point into the body.
    """
    if isinstance(learning, Standard | Sisa):
        return learning
    learning = replace(learning, tasks=learning.tasks or _pairs(len(dataset.classes)))
    _check_classes(learning.tasks, dataset, "/learning/tasks")
    if isinstance(learning, Progressive):
        learning = replace(learning, growth=_growth(learning, architecture))
        _check_width(learning, architecture, "/learning/growth")
    return learning


def check_training(learning: Learning, training: Training, *, from_scratch: bool = True) -> None:
    """Raise `NotApplicable`, with every reason, where the learning mode of a model does not allow this training.

    Tasks and shards know no early stopping: importance is summed over all epochs, and calibration rows would have a
    part in every shard. Shards are only trained from scratch: weights that they would go on from know nothing of
    slices.
    """
    found, sharded = [], isinstance(learning, Sisa)
    if (learning.tasks or sharded) and training.early_stopping:
        what = "shards" if sharded else "tasks"
        detail = f"{what} are learned for a fixed number of epochs; leave early_stopping at 0"
        found.append(FieldError("/training/early_stopping", detail))
    if sharded and not from_scratch:
        found.append(FieldError("/from_scratch", "shards learn slice by slice from fresh weights; send true"))
    if found:
        raise NotApplicable("; ".join(fault.detail for fault in found), errors=found)


def check_further(session: Session, model: ModelRow, asked: Sequence[Sequence[int]]) -> None:
    """Raise unless the model can learn these tasks after its own and those that wait to be learned.

    `NotApplicable` for a model without tasks, `InvalidInput` for a class that belongs to a task, `ClassNotFound`,
    `NoServingVersion`, and `Conflict` where the serving version lacks tasks that the model has.
    """
    learning = model.learning
    if isinstance(learning, Standard | Sisa):
        raise NotApplicable(
            "this model learns all classes together; it has no tasks",
            errors=[FieldError("/tasks", f"leave it out for a model of learning mode {learning.mode}")],
        )
    jobs = waiting_jobs(session, model.id)
    waiting = tuple(tuple(task) for job in jobs if job.kind == "train" for task in job.spec["tasks"] or [])
    learned = {number for task in (*learning.tasks, *waiting) for number in task}
    _check_classes(asked, catalogue.find(model.dataset), "/tasks", learned)
    further = (*learning.tasks, *waiting, *map(tuple, asked))
    _check_width(replace(learning, tasks=further), model.architecture, "/tasks")
    serving = session.get(VersionRow, (model.id, model.serving_version)) if model.serving_version else None
    if serving is None and not jobs:
        raise NoServingVersion("the model has no version to learn further tasks on; train it first")
    if serving is not None and not jobs:
        refuse_fewer(model, serving)


def refuse_fewer(model: ModelRow, serving: VersionRow) -> None:
    """Raise `Conflict` where the serving version lacks tasks that a later one has."""
    had, served = len(model.learning.tasks), len(serving.tasks)
    if served < had:
        raise Conflict(
            f"version {serving.number}, which serves, has {served} of the model's {had} tasks; "
            "let a version that has them all serve first, or train from_scratch, which learns them all"
        )


def _pairs(num_classes: int) -> Tasks:
    """Every two classes in their order; an odd last one joins the last pair."""
    starts = range(0, num_classes - 1, 2)
    return tuple(tuple(range(start, num_classes if start == starts[-1] else start + 2)) for start in starts)


def _check_classes(
    tasks: Sequence[Sequence[int]], dataset: DatasetSpec, pointer: str, learned: Collection[int] = ()
) -> None:
    taken = set(learned)
    unknown, again = [], []
    for index, classes in enumerate(tasks):
        for position, number in enumerate(classes):
            place = f"{pointer}/{index}/{position}"
            if number >= len(dataset.classes):
                unknown.append(FieldError(place, f"classes are 0 to {len(dataset.classes) - 1}"))
            elif number in taken:
                again.append(FieldError(place, "the class belongs to a task already"))
            taken.add(number)
    if unknown:
        detail = f"{dataset.name} has classes 0 to {len(dataset.classes) - 1}; tasks name others"
        raise ClassNotFound(detail, errors=unknown[:_MOST_FAULTS])
    if again:
        detail = "tasks overlap; every class belongs to one task at most, and is learned once"
        raise InvalidInput(detail, errors=again[:_MOST_FAULTS])


def _growth(learning: Progressive, architecture: Architecture) -> tuple[int, ...]:
    if isinstance(architecture, Torchvision):
        detail = f"{architecture.type} cannot grow; choose mlp, cnn, gru or lstm, or the mode synaptic_intelligence"
        raise NotApplicable(detail, errors=[FieldError("/learning/mode", detail)])
    widths = hidden_widths(architecture)
    if not widths:
        detail = "a network without hidden layers has nothing that could grow; give it one"
        raise NotApplicable(detail, errors=[FieldError("/architecture/hidden", detail)])
    growth = learning.growth or widths
    if len(growth) != len(widths):
        detail = f"must name the units added to each of the {len(widths)} hidden layers, or be left out"
        raise InvalidInput(f"growth {detail}", errors=[FieldError("/learning/growth", detail)])
    return growth


def _check_width(learning: Learning, architecture: Architecture, pointer: str) -> None:
    grown = full_grown(architecture, learning)
    if not isinstance(grown, Torchvision) and max(hidden_widths(grown), default=0) > _WIDEST:
        detail = (
            f"all tasks together would make a layer wider than {_WIDEST:,} units; choose fewer tasks or less growth"
        )
        raise InvalidInput(detail, errors=[FieldError(pointer, detail)])
