"""Jobs: look at, list, cancel."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.contract.jobs import Job, JobKind, JobStatus
from app.contract.keys import ApiScope
from app.contract.lists import Page
from app.database.tables import JobRow, ModelRow
from app.errors import JobNotFound
from app.jobs import queue
from app.jobs.handler import endings
from app.operations.caller import Caller
from app.operations.handlers import HANDLERS
from app.operations.pages import PageQuery, paginate
from app.operations.views import job_view

_SCOPES: dict[str, ApiScope] = {
    "train": "train",
    "forget": "forget",
    "reference": "forget",
    "verify": "forget",
    "compare": "forget",
}
"""Who may start a kind of job may also cancel it."""


def get_job(session: Session, job_id: UUID) -> Job:
    """One job; raises `JobNotFound`."""
    return get_job_and_revision(session, job_id)[0]


def get_job_and_revision(session: Session, job_id: UUID) -> tuple[Job, int]:
    """One job and its revision, which rises with every change of the job; raises `JobNotFound`."""
    found = session.execute(select(JobRow, ModelRow.name).join(ModelRow).where(JobRow.id == job_id)).one_or_none()
    if found is None:
        raise JobNotFound(f"there is no job {job_id}; GET /v1/jobs lists them")
    row, model_name = found
    return job_view(row, model_name), row.revision


def list_jobs(
    session: Session,
    page: PageQuery,
    *,
    status: JobStatus | None = None,
    kind: JobKind | None = None,
    model: str | None = None,
) -> Page[Job]:
    """All jobs, oldest first, of one status, kind or model only if asked."""
    statement = select(JobRow)
    if status is not None:
        statement = statement.where(JobRow.status == status)
    if kind is not None:
        statement = statement.where(JobRow.kind == kind)
    if model is not None:
        statement = statement.where(JobRow.model_id.in_(select(ModelRow.id).where(ModelRow.name == model)))
    rows, next_token = paginate(session, statement, [JobRow.sequence], "jobs", page)
    models = select(ModelRow.id, ModelRow.name).where(ModelRow.id.in_([row.model_id for row in rows]))
    names = dict(session.execute(models).all())
    return Page(items=[job_view(row, names[row.model_id]) for row in rows], next_page_token=next_token)


def cancel_job(session: Session, caller: Caller, job_id: UUID) -> Job:
    """End a queued job, or ask a running one to stop; needs the scope that starts such jobs.

    Raises `JobNotFound`, `JobFinished` and `MissingScope`.
    """
    caller.require(_SCOPES[get_job(session, job_id).kind])
    queue.request_cancel(session, job_id, endings(HANDLERS))
    return get_job(session, job_id)
