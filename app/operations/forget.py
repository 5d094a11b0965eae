"""Forget: check and queue a request, carry it out, publish what passed the effect gate."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import log
from app.audit.events import decimal_text
from app.database.engine import database_now
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, TombstoneRow, VersionRow
from app.errors import ForgetRequestNotFound, NoServingVersion
from app.jobs import queue
from app.operations import costs, publishing, targets, versions
from app.operations.callers import Caller
from app.operations.lookups import find_model, lock_model
from app.operations.pages import PageQuery, paginate
from app.operations.views import forget_request_view
from app.schemas import ForgetCreate, ForgetPlan, ForgetRequest, ForgetStatus, Page, VersionMetrics

if TYPE_CHECKING:
    from app.datasets.loading import LoadedDataset
    from app.jobs.attempt import Attempt
    from app.unlearning.forgetting import Unlearned


def submit(session: Session, caller: Caller, name: str, body: ForgetCreate) -> ForgetRequest:
    """Check everything that can be known now, and queue the request behind the earlier ones on its model.

    Raises what `targets.resolve` does.
    """
    model = lock_model(session, name)
    target = targets.resolve(session, model, body.target)
    now = database_now(session)
    request_id = uuid4()
    job = queue.submit(
        session,
        "forget",
        model.id,
        {"forget_request": str(request_id)},
        actor=caller.actor,
        request_id=caller.request_id,
    )
    request = ForgetRequestRow(
        id=request_id,
        model_id=model.id,
        job_id=job.id,
        target=target,
        method=body.method,
        requested_method=body.method,
        strategy=body.strategy,
        scope=body.scope,
        refusal=body.refusal,
        reference=body.reference,
        parameters=asdict(body.parameters),
        seed=body.seed,
        reason=body.reason,
        status="queued",
        received_at=now,
    )
    session.add(request)
    session.flush()
    log.append(
        session,
        "forget.requested",
        actor=caller.actor,
        request_id=caller.request_id,
        model=model.name,
        forget_request=request.id,
        details={
            "job": str(job.id),
            **target,
            "method": body.method,
            "strategy": body.strategy,
            "scope": body.scope,
            "refusal": body.refusal,
            "reference": body.reference,
            "seed": body.seed,
        },
    )
    return forget_request_view(request, job, model.name)


def plan(session: Session, name: str, body: ForgetCreate) -> ForgetPlan:
    """What the request would do and cost, changing nothing; raises what `submit` raises."""
    model = find_model(session, name)
    target = targets.resolve(session, model, body.target)
    available = select(VersionRow.number).where(VersionRow.model_id == model.id, VersionRow.state == "available")
    rows = costs.trained_rows(session, model)
    stay = targets.learned_classes(session, model) - targets.gone_classes(session, model) - set(target["classes"])
    counts = [rows.of(set(target["classes"])), rows.of(stay)] if rows else None
    return ForgetPlan(
        model=model.name,
        target=target,
        method=body.method,
        requested_method=body.method,
        strategy=body.strategy,
        scope=body.scope,
        refusal=body.refusal,
        claim="edited",
        parent_version=model.serving_version,
        quarantined_versions=sorted(session.scalars(available)),
        num_forget=counts[0] if counts else None,
        num_retain=counts[1] if counts else None,
        expected_seconds=costs.expected_seconds(rows, body, *counts) if rows and counts else None,
    )


def get_forget_request(session: Session, request_id: UUID) -> ForgetRequest:
    """One request; raises `ForgetRequestNotFound`."""
    request = session.get(ForgetRequestRow, request_id)
    if request is None:
        raise ForgetRequestNotFound(f"there is no forget request {request_id}; GET /v1/forget-requests lists them")
    return _views(session, [request])[0]


def list_forget_requests(
    session: Session, page: PageQuery, *, model: str | None = None, status: ForgetStatus | None = None
) -> Page[ForgetRequest]:
    """All requests, oldest first, of one model or status only if asked."""
    statement = select(ForgetRequestRow)
    if model is not None:
        statement = statement.where(
            ForgetRequestRow.model_id == select(ModelRow.id).where(ModelRow.name == model).scalar_subquery()
        )
    if status is not None:
        statement = statement.where(ForgetRequestRow.status == status)
    keys = [ForgetRequestRow.received_at, ForgetRequestRow.id]
    rows, next_token = paginate(session, statement, keys, "forget-requests", page)
    return Page(items=_views(session, rows), next_page_token=next_token)


def _views(session: Session, rows: list[ForgetRequestRow]) -> list[ForgetRequest]:
    jobs = {job.id: job for job in session.scalars(select(JobRow).where(JobRow.id.in_([row.job_id for row in rows])))}
    names = dict(
        session.execute(select(ModelRow.id, ModelRow.name).where(ModelRow.id.in_([row.model_id for row in rows]))).all()
    )
    return [forget_request_view(row, jobs[row.job_id], names[row.model_id]) for row in rows]


# --- in the attempt's process --------------------------------------------------------------------


def run(attempt: Attempt) -> None:
    """Unlearn, measure, judge; publish in one transaction what passed, and quarantine all that still remembers."""
    from app.unlearning.context import Context
    from app.unlearning.forgetting import forget_classes

    start = publishing.begin(attempt)
    request = _started(attempt, start)
    loaded = publishing.load_dataset(attempt, start)
    parent = publishing.load_parent(attempt, start)
    if parent is None:
        raise NoServingVersion(
            "no training of this model succeeded, so there is nothing to forget from; train it first"
        )
    assert start.parent is not None
    targets.refuse_unlearned(start.model, start.parent, request.target)
    context = Context(progress=publishing.progress_between(attempt, 0.05, 0.95))
    edit = replace(publishing.edit_of(request), pushed=start.pushed)
    unlearned = forget_classes(parent.network, loaded.dataset, edit, context, parent.importance)
    if unlearned.verdict == "passed":
        _publish(attempt, start, request, loaded, unlearned)
    else:
        _refuse(attempt, start, request, unlearned)


def _started(attempt: Attempt, start: publishing.Start) -> ForgetRequestRow:
    """Mark the request as running; logged once, however many attempts it takes."""
    with attempt.database.writing() as session:
        request = session.get_one(ForgetRequestRow, UUID(attempt.spec["forget_request"]))
        if request.status == "queued" and queue.standing(session, attempt.claim) != "lost":
            request.status = "running"
            request.target = targets.without_forgotten(request.target, start.forgotten)
            log.append(
                session,
                "forget.started",
                actor=attempt.actor,
                request_id=attempt.request_id,
                model=start.model.name,
                forget_request=request.id,
                details=_details(attempt, start),
            )
        return request


def _publish(
    attempt: Attempt,
    start: publishing.Start,
    request: ForgetRequestRow,
    loaded: LoadedDataset,
    unlearned: Unlearned,
) -> None:
    assert start.parent is not None
    staged = publishing.stage(attempt, start, loaded, unlearned.model, _new_version(start, request, unlearned))
    with attempt.succeeding({"version": start.number, "verdict": "passed", "claim": unlearned.claim}) as session:
        _bury(session, request)
        # Every version so far remembers what is forgotten now for the first time.
        quarantined = versions.quarantine(session, versions.available_versions(start.model))
        publishing.publish(session, attempt, start, staged, serve=True, quarantined=quarantined)
        _complete(session, attempt, start, request, unlearned, digest=staged.manifest.weights_digest)
    if attempt.settings.retention_days == 0:
        versions.purge_all(
            attempt.database, attempt.settings, start.model.id, actor=attempt.actor, request_id=attempt.request_id
        )


def _new_version(start: publishing.Start, request: ForgetRequestRow, unlearned: Unlearned) -> publishing.NewVersion:
    assert start.parent is not None
    after = asdict(unlearned.report.after)
    measured = {name: after[name] for name in after.keys() & VersionMetrics.model_fields.keys()}
    seconds = {"training_seconds": unlearned.report.seconds["method"]}
    return publishing.NewVersion(
        origin="unlearned",
        parent=start.parent,
        forgotten=sorted([*start.forgotten, *request.target["classes"]]),
        claim=unlearned.claim,
        # What learning tasks came to, how much of earlier ones it cost, is the parent's; nothing was learned here.
        metrics=VersionMetrics.model_validate(start.parent.metrics | measured | seconds),
        recipe={"forget": unlearned.report.settings},
        seed=request.seed,
        importance=unlearned.importance,
        forget_request=request.id,
    )


def _bury(session: Session, request: ForgetRequestRow) -> None:
    """Set the tombstones: what this model may never learn again."""
    now = database_now(session)
    session.add_all(
        TombstoneRow(model_id=request.model_id, kind="class", item=number, forget_request_id=request.id, created_at=now)
        for number in request.target["classes"]
    )


def _complete(
    session: Session,
    attempt: Attempt,
    start: publishing.Start,
    request: ForgetRequestRow,
    unlearned: Unlearned,
    *,
    digest: str,
) -> None:
    row = _judged(session, start, request, unlearned, status="completed")
    row.claim, row.version = unlearned.claim, start.number
    log.append(
        session,
        "forget.completed",
        actor=attempt.actor,
        request_id=attempt.request_id,
        model=start.model.name,
        version=start.number,
        forget_request=request.id,
        details={
            **_details(attempt, start),
            **request.target,
            "digest": digest,
            "claim": unlearned.claim,
            "verdict": unlearned.verdict,
            **_measured(unlearned),
        },
    )


def _refuse(attempt: Attempt, start: publishing.Start, request: ForgetRequestRow, unlearned: Unlearned) -> None:
    """The gate was missed: keep the report, publish nothing, let the parent serve on."""
    missed = [criterion.name for criterion in unlearned.report.gate if not criterion.passed]
    with attempt.succeeding({"version": None, "verdict": unlearned.verdict, "missed": missed}) as session:
        _judged(session, start, request, unlearned, status="failed")
        log.append(
            session,
            "forget.failed",
            actor=attempt.actor,
            request_id=attempt.request_id,
            model=start.model.name,
            forget_request=request.id,
            details={**_details(attempt, start), "verdict": unlearned.verdict, "missed": missed},
        )


def _judged(
    session: Session, start: publishing.Start, request: ForgetRequestRow, unlearned: Unlearned, *, status: ForgetStatus
) -> ForgetRequestRow:
    """The request with what came of it."""
    row = session.get_one(ForgetRequestRow, request.id)
    row.status = status
    row.verdict = unlearned.verdict
    row.parent_version = start.parent.number if start.parent else None
    row.report = asdict(unlearned.report)
    row.completed_at = database_now(session)
    return row


def _details(attempt: Attempt, start: publishing.Start) -> dict[str, Any]:
    parent = {"parent_version": start.parent.number} if start.parent else {}
    return {"job": str(attempt.job_id), **parent}


def _measured(unlearned: Unlearned) -> dict[str, str]:
    """The figures that the log keeps, as it wants them."""
    after = asdict(unlearned.report.after)
    names = ("forget_accuracy", "retain_accuracy", "test_accuracy", "refusal_rate", "false_refusal_rate")
    return {name: decimal_text(after[name]) for name in names if after[name] is not None}


def ended(session: Session, job: JobRow) -> None:
    """The job failed or was cancelled, and with it the request; log it."""
    request = session.get_one(ForgetRequestRow, UUID(job.spec["forget_request"]))
    model = session.get_one(ModelRow, job.model_id)
    request.status = job.status
    request.completed_at = database_now(session)
    log.append(
        session,
        f"forget.{job.status}",
        actor=job.actor,
        request_id=job.request_id,
        model=model.name,
        forget_request=request.id,
        details=publishing.ending(job),
    )
