"""Verifications: recorded with every forget request, and made on demand of a version that has forgotten."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.audit import log
from app.contract.lists import Page
from app.contract.verifying import Depth, Verification, VerifyCreate
from app.database.engine import database_now
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, VerificationRow, VersionRow
from app.errors import ForgetRequestNotFound, JobFinished, NothingForgotten, VerificationNotFound, VersionGone
from app.jobs import queue
from app.operations.caller import Caller
from app.operations.lookups import find_version, lock_model
from app.operations.pages import PageQuery, paginate
from app.operations.verifying import references
from app.operations.views import job_view
from app.specs.originator import Originator

_STATUS = {"succeeded": "completed"}
"""The status of a verification where it is not named like that of its job."""


def submit(session: Session, caller: Caller, name: str, number: int, body: VerifyCreate) -> Verification:
    """Queue the verification of what a version has forgotten, behind the references that it waits for.

    Raises `VersionGone` for a quarantined or purged version, `NothingForgotten`, and `ForgetRequestNotFound` for a
    request that is not of this model.
    """
    model = lock_model(session, name)
    version = find_version(session, model, number)
    if version.state != "available":
        raise VersionGone(f"version {number} is {version.state}; verify one that is available")
    request = _request(session, version, body.forget_request)
    row = _queue(session, model, version, request, body, by=caller.by)
    return _views(session, [row])[0]


def _queue(
    session: Session,
    model: ModelRow,
    version: VersionRow,
    request: ForgetRequestRow,
    body: VerifyCreate,
    *,
    by: Originator,
    before_purge: bool = False,
) -> VerificationRow:
    """The verification, and its job behind the references that it waits for."""
    waits_for: list[JobRow] = []
    if body.reference == "wait":
        count, number = body.num_references, version.number
        waits_for = references.submit(session, model, request.id, count, by=by, version=number)
    verification_id = uuid4()
    job = queue.submit(
        session,
        "verify",
        model.id,
        {
            "verification": str(verification_id),
            "reference": body.reference,
            "num_references": body.num_references,
            "repeat": body.repeat,
            "seed": body.seed,
        },
        by=by,
        publishing=False,
        waits_for=[reference.id for reference in waits_for],
    )
    row = VerificationRow(
        id=verification_id,
        model_id=model.id,
        version=version.number,
        original_version=request.parent_version,
        forget_request_id=request.id,
        job_id=job.id,
        depth=body.depth,
        before_purge=before_purge,
        digest=version.digest,
        created_at=database_now(session),
    )
    session.add(row)
    session.flush()
    return row


def queue_before_purge(session: Session, *, by: Originator, request: ForgetRequestRow, version: int) -> None:
    """Queue the deep verification of a request that was just completed, in the transaction that published its version.

    The version that the request started from is kept until it has ended.
    """
    model = session.get_one(ModelRow, request.model_id)
    body = VerifyCreate(seed=request.seed)
    published = session.get_one(VersionRow, (model.id, version))
    _queue(session, model, published, request, body, by=by, before_purge=True)


def record(
    session: Session,
    *,
    by: Originator,
    request: ForgetRequestRow,
    version: int | None,
    digest: str | None,
    report: dict[str, Any],
    original_digest: str | None = None,
) -> UUID:
    """Keep the verification that a forget request made of its own result, and log it.

    `report` is `VerificationReport.as_json()`; `digest` that of the published weights, None like `version` where there
    are none; `original_digest` the `weights_digest` of the version that the request started from.
    """
    now = database_now(session)
    row = VerificationRow(
        id=uuid4(),
        model_id=request.model_id,
        version=version,
        original_version=request.parent_version,
        forget_request_id=request.id,
        job_id=request.job_id,
        depth=report["depth"],
        before_purge=False,
        digest=digest,
        original_digest=original_digest,
        created_at=now,
    )
    session.add(row)
    complete(session, row, report, by=by)
    return row.id


def complete(session: Session, row: VerificationRow, report: dict[str, Any], *, by: Originator) -> None:
    """Keep what a verification found, and log it; logging is the last step, because of the log's lock."""
    row.report, row.verdict, row.claim = report, report["verdict"], report["claim"]
    row.completed_at = database_now(session)
    session.flush()
    repetition = report["repetition"] or {"equal": None}
    optional = {"digest": row.digest, "claim": row.claim, "repeated_equal": repetition["equal"]}
    log.append(
        session,
        "verification.completed",
        by=by,
        model=session.get_one(ModelRow, row.model_id).name,
        version=row.version,
        forget_request=row.forget_request_id,
        details={
            "job": str(row.job_id),
            "depth": row.depth,
            "verdict": report["verdict"],
            "parameters": f"sha256:{report['digest']}",
            "references": len(report["references"]),
            **{name: value for name, value in optional.items() if value is not None},
        },
    )


def get(session: Session, verification_id: UUID) -> Verification:
    """One verification; raises `VerificationNotFound`."""
    row = session.get(VerificationRow, verification_id)
    if row is None:
        raise VerificationNotFound(f"there is no verification {verification_id}; GET /v1/verifications lists them")
    return _views(session, [row])[0]


def list_verifications(
    session: Session,
    page: PageQuery,
    *,
    model: str | None = None,
    version: int | None = None,
    forget_request: UUID | None = None,
    depth: Depth | None = None,
) -> Page[Verification]:
    """All verifications, oldest first, of one model, version, request or depth only if asked."""
    statement = select(VerificationRow)
    if model is not None:
        named = select(ModelRow.id).where(ModelRow.name == model).scalar_subquery()
        statement = statement.where(VerificationRow.model_id == named)
    filters = {
        VerificationRow.version: version,
        VerificationRow.forget_request_id: forget_request,
        VerificationRow.depth: depth,
    }
    statement = statement.where(*(column == value for column, value in filters.items() if value is not None))
    keys = [VerificationRow.created_at, VerificationRow.id]
    rows, next_token = paginate(session, statement, keys, "verifications", page)
    return Page(items=_views(session, rows), next_page_token=next_token)


def ended(session: Session, job: JobRow) -> None:
    """A verification that failed or was cancelled has found nothing; its job says why."""
    references.release(session, job)


def cancel_all(session: Session, model_id: UUID) -> None:
    """Cancel the verifications and comparisons of a deleted model that have not ended, and the references for them."""
    endings = {"verify": ended, "reference": references.ended, "compare": _nothing_hangs_on_it}
    unfinished = (
        select(JobRow.id)
        .where(JobRow.model_id == model_id, JobRow.kind.in_(endings), JobRow.status.in_(["queued", "running"]))
        .order_by(JobRow.sequence)
    )
    for job_id in list(session.scalars(unfinished)):
        with suppress(JobFinished):  # with the one that waited for it
            queue.request_cancel(session, job_id, endings)


def _nothing_hangs_on_it(_session: Session, _job: JobRow) -> None:
    """Do nothing: a comparison that did not succeed left nothing behind."""


def _request(session: Session, version: VersionRow, named: UUID | None) -> ForgetRequestRow:
    """The completed request of this model that the version knows of: the one named, or the latest."""
    known = (
        select(ForgetRequestRow)
        .where(ForgetRequestRow.model_id == version.model_id, ForgetRequestRow.status == "completed")
        .where(ForgetRequestRow.version <= version.number)
        .order_by(ForgetRequestRow.version.desc())
    )
    if named is not None:
        known = known.where(ForgetRequestRow.id == named)
        of_model = exists().where(ForgetRequestRow.id == named, ForgetRequestRow.model_id == version.model_id)
        if not session.scalar(select(of_model)):
            raise ForgetRequestNotFound(f"the model has no forget request {named}; GET /v1/forget-requests lists them")
    request = session.scalars(known.limit(1)).one_or_none()
    if request is None:
        raise NothingForgotten(
            f"version {version.number} has forgotten nothing, or not by this request; verify a version that has"
        )
    return request


def _views(session: Session, rows: list[VerificationRow]) -> list[Verification]:
    jobs = {job.id: job for job in session.scalars(select(JobRow).where(JobRow.id.in_([row.job_id for row in rows])))}
    models = select(ModelRow.id, ModelRow.name).where(ModelRow.id.in_([row.model_id for row in rows]))
    names = dict(session.execute(models).all())
    return [_view(row, jobs[row.job_id], names[row.model_id]) for row in rows]


def _view(row: VerificationRow, job: JobRow, model_name: str) -> Verification:
    return Verification.model_validate(
        {
            "id": row.id,
            "model": model_name,
            "version": row.version,
            "forget_request": row.forget_request_id,
            "depth": row.depth,
            "status": _STATUS.get(job.status, job.status),
            "verdict": row.verdict,
            "claim": row.claim,
            "digest": row.digest,
            "report": row.report,
            "job": job_view(job, model_name),
            "created_at": row.created_at,
            "completed_at": row.completed_at,
        }
    )
