"""Finding models, versions and waiting jobs, or saying clearly why not."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.tables import JobRow, ModelRow, VersionRow
from app.errors import JobRunning, ModelGone, ModelNotFound, VersionNotFound

NAMED = 5
"""The number of items that a sentence names; it only counts the others."""


def some(numbers: list[int]) -> str:
    """These numbers in words: the first few, and how many more there are."""
    named = ", ".join(str(number) for number in numbers[:NAMED])
    return named if len(numbers) <= NAMED else f"{named} and {len(numbers) - NAMED} more"


def find_model(session: Session, name: str) -> ModelRow:
    """The model of this name; raises `ModelNotFound`, or `ModelGone` for a deleted one."""
    return _living(session.scalar(select(ModelRow).where(ModelRow.name == name)), name)


def lock_model(session: Session, name: str) -> ModelRow:
    """The model of this name, locked against every other writer until the transaction ends; raises as `find_model`."""
    return _living(session.scalar(select(ModelRow).where(ModelRow.name == name).with_for_update()), name)


def _living(model: ModelRow | None, name: str) -> ModelRow:
    if model is None:
        raise ModelNotFound(f'there is no model named "{name}"; GET /v1/models lists them')
    if model.deleted_at is not None:
        raise ModelGone(f'the model "{name}" was deleted; the audit log keeps its events')
    return model


def find_version(session: Session, model: ModelRow, number: int) -> VersionRow:
    """The version of this number; raises `VersionNotFound`."""
    version = session.get(VersionRow, (model.id, number))
    if version is None:
        raise VersionNotFound(f'the model "{model.name}" has no version {number}; GET …/versions lists them')
    return version


def waiting_jobs(session: Session, model_id: UUID) -> list[JobRow]:
    """The model's publishing jobs that are queued or running, oldest first."""
    waiting = (
        select(JobRow)
        .where(JobRow.model_id == model_id, JobRow.publishing, JobRow.status.in_(["queued", "running"]))
        .order_by(JobRow.sequence)
    )
    return list(session.scalars(waiting))


def refuse_while_job_runs(session: Session, model: ModelRow) -> None:
    """Raise `JobRunning` while a publishing job of the model runs."""
    for job in waiting_jobs(session, model.id):
        if job.status == "running":
            raise JobRunning(f"job {job.id} is about to publish a version; wait until it ends, or cancel it")


def refuse_while_jobs_wait(session: Session, model: ModelRow) -> None:
    """Raise `JobRunning` while publishing jobs of the model wait or run."""
    jobs = waiting_jobs(session, model.id)
    if jobs:
        raise JobRunning(f"{len(jobs)} jobs of this model wait or run, {jobs[0].id} first; cancel them or wait")
