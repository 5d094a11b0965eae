"""What a forget request is about: the classes or samples that must go, after every check that needs no computing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.contract.forgetting import ForgetTarget
from app.database.tables import ForgetRequestRow, ModelRow, VersionRow
from app.datasets import catalogue
from app.errors import (
    AlreadyForgotten,
    ClassNotFound,
    FieldError,
    InvalidInput,
    NoServingVersion,
    NotApplicable,
    NothingLeft,
    TaskNotFound,
)
from app.operations.forgetting import sample_targets
from app.operations.lookups import some, waiting_jobs
from app.operations.training.tasks import refuse_fewer
from app.operations.views import forgotten_classes
from app.specs.target import Target


def resolve(session: Session, model: ModelRow, target: ForgetTarget, home: Path | None = None) -> Target:
    """What is to be forgotten; `home` is where labels are kept, without it the job checks the classes of samples.

    A target of tasks names the classes, too.
    Raises `ClassNotFound`, `TaskNotFound`, `AlreadyForgotten`, `NothingLeft` (both count queued requests),
    `NoServingVersion`, `InvalidInput` and `NotApplicable`, `Conflict` for a task that the serving version lacks, and what
    `sample_targets.resolve` does.
    """
    gone = gone_classes(session, model)
    if target.samples is not None:
        found = Target(samples=tuple(sample_targets.resolve(session, model, target.samples, gone, home)))
    else:
        has_tasks = bool(model.learning.tasks)
        found = _of_tasks(session, model, target, gone) if has_tasks else _of_classes(model, target, gone)
    going = gone | set(found.classes) | sample_targets.classes_without_rows(session, model, home)
    if not learned_classes(session, model) - going:
        raise NothingLeft("no class would remain; to drop everything, delete the model")
    if model.serving_version is None and not waiting_jobs(session, model.id):
        raise NoServingVersion("the model has no version to forget from; train it first")
    return found


def gone_classes(session: Session, model: ModelRow) -> set[int]:
    """The classes that are forgotten or that a queued request will forget."""
    waiting = select(ForgetRequestRow.target).where(
        ForgetRequestRow.model_id == model.id, ForgetRequestRow.status.in_(["queued", "running"])
    )
    queued = {number for target in session.scalars(waiting) for number in target.classes}
    return queued | set(forgotten_classes(session, [model.id])[model.id])


def learned_classes(session: Session, model: ModelRow) -> set[int]:
    """The classes that the version learned which the request builds on, forgotten ones included."""
    if not model.learning.tasks:
        return set(range(len(catalogue.find(model.dataset).classes)))
    return {number for classes in _served_tasks(session, model) for number in classes}


def logged(target: Target) -> dict[str, Any]:
    """What the audit log says of a target: for samples only their number, never their ids."""
    return {"num_samples": len(target.samples)} if target.samples else target.as_json()


def without_forgotten(target: Target, forgotten: Collection[int]) -> Target:
    """What is left of a target when its turn comes: requests before it may have forgotten some of a task's classes."""
    return replace(target, classes=tuple(number for number in target.classes if number not in forgotten))


def refuse_unlearned(model: ModelRow, parent: VersionRow, target: Target) -> None:
    """Raise `Conflict` where the pointer was moved to a version that never learned what is to be forgotten."""
    if max(target.tasks, default=0) >= len(parent.tasks):
        refuse_fewer(model, parent)


def _of_classes(model: ModelRow, target: ForgetTarget, gone: set[int]) -> Target:
    if target.tasks is not None or target.classes is None:
        raise NotApplicable(
            "this model learns all classes together; it has no tasks to forget",
            errors=[FieldError("/target/tasks", "name classes instead")],
        )
    classes = sorted(set(target.classes))
    dataset = catalogue.find(model.dataset)
    unknown = [number for number in classes if number >= len(dataset.classes)]
    if unknown:
        raise ClassNotFound(
            f"{dataset.name} has no classes {some(unknown)}; its classes are 0 to {len(dataset.classes) - 1}"
        )
    _refuse_gone(classes, gone)
    return Target(classes=tuple(classes))


def _of_tasks(session: Session, model: ModelRow, target: ForgetTarget, gone: set[int]) -> Target:
    tasks = _served_tasks(session, model)
    if target.tasks is None:
        owners = [index for index, classes in enumerate(tasks) if set(classes) & set(target.classes or [])]
        place = f", whose tasks are {some(owners)}" if owners else ""
        raise NotApplicable(
            f"this model learns tasks; name those of the classes beside them{place}: together they mean a part of a task",
            errors=[FieldError("/target/tasks", "name the tasks that the classes belong to")],
        )
    named = sorted(set(target.tasks))
    _refuse_unknown(session, model, named, tasks)
    if target.classes is not None:
        classes = _part(named, target.classes, tasks, gone)
    else:
        classes = _whole(named, tasks, gone, forgotten_classes(session, [model.id])[model.id])
    return Target(tasks=tuple(named), classes=tuple(classes))


def _whole(named: list[int], tasks: list[list[int]], gone: set[int], forgotten: list[int]) -> list[int]:
    """All classes of these tasks that are not forgotten yet.

    A class that a queued request is to forget stays in: that may fail.
    """
    again = [index for index in named if set(tasks[index]) <= gone]
    if again:
        raise AlreadyForgotten(
            f"tasks {some(again)} are forgotten, or a queued request will forget them; leave them out"
        )
    return sorted(number for index in named for number in tasks[index] if number not in forgotten)


def _part(named: list[int], asked: list[int], tasks: list[list[int]], gone: set[int]) -> list[int]:
    """Some classes of these tasks, at least one of each."""
    classes = sorted(set(asked))
    foreign = sorted(set(classes) - {number for index in named for number in tasks[index]})
    if foreign:
        detail = "a class is of none of the tasks that are named; name its task, too, or leave it out"
        raise ClassNotFound(detail, errors=[FieldError("/target/classes", detail)])
    untouched = [index for index in named if not set(tasks[index]) & set(classes)]
    if untouched:
        detail = f"of tasks {some(untouched)} no class is named; leave them out, or name some of their classes"
        raise InvalidInput(detail, errors=[FieldError("/target/tasks", detail)])
    _refuse_gone(classes, gone)
    return classes


def _refuse_gone(classes: list[int], gone: set[int]) -> None:
    again = [number for number in classes if number in gone]
    if again:
        raise AlreadyForgotten(
            f"classes {some(again)} are forgotten, or a queued request will forget them; leave them out"
        )


def _refuse_unknown(session: Session, model: ModelRow, named: list[int], tasks: list[list[int]]) -> None:
    if named[-1] < len(tasks):
        return
    serving = session.get(VersionRow, (model.id, model.serving_version)) if model.serving_version else None
    if serving is not None and named[-1] < len(model.learning.tasks):
        refuse_fewer(model, serving)
    detail = f"its tasks are 0 to {len(tasks) - 1}; one that waits to be learned can be forgotten once it is"
    raise TaskNotFound(detail, errors=[FieldError("/target/tasks", detail)])


def _served_tasks(session: Session, model: ModelRow) -> list[list[int]]:
    """The tasks of the serving version; where there is none yet, the tasks to be learned first."""
    serving = session.get(VersionRow, (model.id, model.serving_version)) if model.serving_version else None
    return serving.tasks if serving else [list(task) for task in model.learning.tasks]
