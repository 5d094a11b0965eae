"""Forget: check and queue a request, say what it would do, and what came of it; `forgetting_run` carries it out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import log
from app.contract.forgetting import ForgetCreate, ForgetPlan, ForgetRequest
from app.contract.jobs import ForgetStatus
from app.contract.lists import Page
from app.database.engine import database_now
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, VersionRow
from app.errors import FieldError, ForgetRequestNotFound, NotApplicable
from app.jobs import queue
from app.operations.caller import Caller
from app.operations.forgetting import choosing, claiming, costs, sample_targets, targets
from app.operations.lookups import find_model, lock_model, some
from app.operations.pages import PageQuery, paginate
from app.operations.verifying import references
from app.operations.views import forget_request_view
from app.specs.claims import CLAIMS
from app.specs.methods import METHOD_SPECS, sought_by
from app.specs.methods.work import Work
from app.specs.target import Target

_LISTED_SAMPLES = 100
"""The most samples that a list shows of each request; a request may name 100,000."""


def submit(
    session: Session, caller: Caller, name: str, body: ForgetCreate, *, home: Path | None = None
) -> ForgetRequest:
    """Check everything that can be known now, and queue the request behind the earlier ones on its model.

    `home` is where labels are kept. Raises what `targets.resolve` does, and `NotApplicable` with everything that speaks
    against the method; `ClaimOutOfReach` where the version before rules out the least claim.
    """
    model = lock_model(session, name)
    target = targets.resolve(session, model, body.target, home)
    _, settled = _settle(session, model, target, body, home)
    request = _row(session, model, target, settled, requested_method=body.method)
    waits_for = references.submit_for(session, caller, model, request)
    job = queue.submit(
        session,
        "forget",
        model.id,
        {"forget_request": str(request.id)},
        by=caller.by,
        waits_for=[reference.id for reference in waits_for],
    )
    request.job_id = job.id
    session.add(request)
    session.flush()
    _log_requested(session, caller, model, request)
    return forget_request_view(request, job, model.name)


def plan(session: Session, name: str, body: ForgetCreate, *, home: Path | None = None) -> ForgetPlan:
    """What the request would do and cost, changing nothing; raises what `submit` raises."""
    model = find_model(session, name)
    target = targets.resolve(session, model, body.target, home)
    chosen, settled = _settle(session, model, target, body, home)
    bounds = choosing.bounds_on(session, model, settled, target)
    available = select(VersionRow.number).where(VersionRow.model_id == model.id, VersionRow.state == "available")
    work = choosing.work_on(session, model, target)
    return ForgetPlan(
        model=model.name,
        target=target.as_json(),
        method=settled.method,
        requested_method=body.method,
        strategy=settled.strategy,
        scope=settled.scope,
        refusal=settled.refusal,
        reference=settled.reference,
        num_references=settled.num_references,
        num_samples=len(target.samples),
        sought=sought_by(settled.method, bounds.refusal),
        claim=claiming.most_claimable(settled.method, bounds),
        parent_version=model.serving_version,
        quarantined_versions=sorted(session.scalars(available)),
        num_forget=work.num_forget if work else None,
        num_retain=work.num_retain if work else None,
        expected_seconds=costs.seconds(work, settled.method, settled.parameters, settled.refusal) if work else None,
        expected_reference_seconds=_reference_seconds(work, settled),
        why=chosen.why,
        warnings=_warnings(session, model, settled, target),
        candidates=chosen.candidates or choosing.candidates(session, model, settled, target),
    )


def _settle(
    session: Session, model: ModelRow, target: Target, body: ForgetCreate, home: Path | None
) -> tuple[choosing.Chosen, ForgetCreate]:
    """How the method was found, and the request with that method; raises `NotApplicable`."""
    chosen = choosing.choose(session, model, body, target)
    settled = _by(chosen.method, body)
    reasons = choosing.reasons(settled.method, model, target.kind, settled.refusal)
    reasons += _below_claim(settled) + _without_rows(session, model, target, settled, home)
    if reasons:
        raise NotApplicable("the method cannot do this; `errors` lists all that speaks against it", errors=reasons)
    claiming.check_reach(settled.min_claim, settled.method, choosing.bounds_on(session, model, settled, target))
    return chosen, settled


def _by(method: str, body: ForgetCreate) -> ForgetCreate:
    """The request with the method that `auto` chose, within the same budgets; a reference only if its claim needs one."""
    if body.method != "auto":
        return body
    same = body.model_dump(exclude={"method", "strategy", "scope", "max_seconds", "reference"})
    settled = ForgetCreate.model_validate(same | {"method": method})
    return settled if body.reference == "wait" else settled.model_copy(update={"reference": body.reference})


def _without_rows(
    session: Session, model: ModelRow, target: Target, body: ForgetCreate, home: Path | None
) -> list[FieldError]:
    """What speaks against a method that reads the forget set, where all rows of a class were forgotten as samples."""
    gone = set(target.classes) & sample_targets.classes_without_rows(session, model, home)
    if not gone or not METHOD_SPECS[body.method].reads_forget_set:
        return []
    detail = (
        f"All training rows of classes {some(sorted(gone))} were forgotten, and {body.method} would learn from them; "
    )
    return [FieldError("/method", f"{detail}send edit, or a method that reads retained rows alone.")]


def _below_claim(body: ForgetCreate) -> list[FieldError]:
    """What the request by itself says against its `min_claim`, whatever the version before claims."""
    most = claiming.most_claimable(body.method, claiming.Bounds(body.refusal, body.reference, body.num_references))
    if body.min_claim is None or CLAIMS.index(most) >= CLAIMS.index(body.min_claim):
        return []
    asked = f"the refusal {body.refusal}, the reference {body.reference} and num_references {body.num_references}"
    return [FieldError("/min_claim", f"With {asked} this method may claim {most} at most.")]


def _reference_seconds(work: Work | None, body: ForgetCreate) -> float | None:
    return costs.reference_seconds(work, body.num_references) if work and body.reference == "wait" else None


def _warnings(session: Session, model: ModelRow, body: ForgetCreate, target: Target) -> list[str]:
    """Warnings of what may make the request fail, or keep its result from being shown."""
    return [*_of_the_version_before(session, model, body), *_of_pushed_classes(session, model, body, target)]


def _of_the_version_before(session: Session, model: ModelRow, body: ForgetCreate) -> list[str]:
    """The warning that the version before had learned nothing, so that nothing but an exact result can be shown."""
    serving = session.get(VersionRow, (model.id, model.serving_version)) if model.serving_version else None
    if serving is None or serving.metrics.warning is None or sought_by(body.method, body.refusal) == "exact":
        return []
    return [f"version {serving.number}: {serving.metrics.warning}"]


def _of_pushed_classes(session: Session, model: ModelRow, body: ForgetCreate, target: Target) -> list[str]:
    """The warning that classes pushed earlier may be refused too rarely; requests for samples refuse them as before."""
    if body.refusal == "push" or target.kind == "samples":
        return []
    pushing = select(ForgetRequestRow.target).where(
        ForgetRequestRow.model_id == model.id,
        ForgetRequestRow.refusal == "push",
        ForgetRequestRow.status.in_(["queued", "running", "completed"]),
    )
    pushed = sorted({number for earlier in session.scalars(pushing) for number in earlier.classes})
    if not pushed:
        return []
    warning = (
        f"earlier requests pushed classes {some(pushed)}, and the refusal {body.refusal} does not push them again: where "
        "they are not refused as well as before (`refusal_kept_of_class_…` of the gate), the request ends failed and the "
        "version before serves on; the refusal push keeps them refused"
    )
    return [warning]


def _row(
    session: Session, model: ModelRow, target: Target, body: ForgetCreate, *, requested_method: str
) -> ForgetRequestRow:
    return ForgetRequestRow(
        id=uuid4(),
        model_id=model.id,
        target=target,
        method=body.method,
        requested_method=requested_method,
        strategy=body.strategy,
        scope=body.scope,
        refusal=body.refusal,
        guard=body.guard,
        reference=body.reference,
        num_references=body.num_references,
        min_claim=body.min_claim,
        parameters=asdict(body.parameters),
        seed=body.seed,
        reason=body.reason,
        status="queued",
        received_at=database_now(session),
    )


def _log_requested(session: Session, caller: Caller, model: ModelRow, request: ForgetRequestRow) -> None:
    optional = {"strategy": request.strategy, "scope": request.scope, "min_claim": request.min_claim}
    log.append(
        session,
        "forget.requested",
        by=caller.by,
        model=model.name,
        forget_request=request.id,
        details={
            "job": str(request.job_id),
            **targets.logged(request.target),
            "method": request.method,
            "requested_method": request.requested_method,
            "refusal": request.refusal,
            "reference": request.reference,
            "num_references": request.num_references,
            "seed": request.seed,
            **{name: value for name, value in optional.items() if value is not None},
        },
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
    return Page(items=_views(session, rows, most_samples=_LISTED_SAMPLES), next_page_token=next_token)


def _views(session: Session, rows: list[ForgetRequestRow], *, most_samples: int | None = None) -> list[ForgetRequest]:
    jobs = {job.id: job for job in session.scalars(select(JobRow).where(JobRow.id.in_([row.job_id for row in rows])))}
    names = dict(
        session.execute(select(ModelRow.id, ModelRow.name).where(ModelRow.id.in_([row.model_id for row in rows]))).all()
    )
    return [forget_request_view(row, jobs[row.job_id], names[row.model_id], most_samples=most_samples) for row in rows]
