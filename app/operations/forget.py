"""Forget: check and queue a request, say what it would do, and what came of it; `forgetting_run` carries it out."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import log
from app.database.engine import database_now
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, VersionRow
from app.errors import ForgetRequestNotFound
from app.jobs import queue
from app.operations import costs, targets
from app.operations.callers import Caller
from app.operations.lookups import find_model, lock_model
from app.operations.pages import PageQuery, paginate
from app.operations.views import forget_request_view
from app.schemas import ForgetCreate, ForgetPlan, ForgetRequest, ForgetStatus, Page


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
