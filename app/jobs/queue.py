"""The job table as a queue: who may compute a job, and who may still write about it.

Every claim raises the job's fence. Whatever is written about a running job is guarded by its id, that fence and the
status `running`; a guard that finds no row raises `LostClaim`, and the transaction leaves nothing. So an attempt that
was taken for dead may wake at any moment and harm nothing.

All functions but `claimable`, `next_in_line`, `standing`, `abandoned` and `any_lapsed` write and need a session of `Database.writing()`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Result, Select, and_, exists, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from app.contract.problems import problem_of
from app.database.engine import database_now
from app.database.tables import JobDependencyRow, JobRow
from app.errors import AttemptsExhausted, ForgetteryError, JobFinished, JobNotFound
from app.jobs.processes import is_dead
from app.specs.originator import Originator

LEASE = timedelta(seconds=60)
"""How long a job stays with an owner that no longer reports."""

MOST_DEATHS = 5
"""Attempts that may die by themselves before the job is given up."""

_UNFINISHED = ("queued", "running")

Standing = Literal["continue", "cancel", "lost"]
Ended = Callable[[Session, JobRow], None]
"""What a kind of job does, in the same transaction, when one of its jobs ends as failed or cancelled."""


class LostClaim(Exception):
    """The job has ended or belongs to a later attempt; this one may no longer write about it."""


@dataclass(frozen=True)
class Claim:
    """The right to compute a job, until the job's fence is no longer this one."""

    job_id: UUID
    model_id: UUID
    kind: str
    spec: dict[str, Any]
    by: Originator
    fence: int

    @property
    def handle(self) -> str:
        """Names this attempt among all attempts of all jobs; safe as a file name."""
        return handle_of(self.job_id, self.fence)


def submit(
    session: Session,
    kind: str,
    model_id: UUID,
    spec: dict[str, Any],
    *,
    by: Originator,
    publishing: bool = True,
    waits_for: Collection[UUID] = (),
) -> JobRow:
    """Queue a job; `publishing` jobs of a model run one at a time, in the order in which they were submitted.

    It starts only once all jobs that it waits for have ended, in whatever way; they were submitted before it, so no
    two jobs can wait for each other. A publishing job keeps its place while it waits.
    """
    job = JobRow(
        id=uuid4(),
        kind=kind,
        model_id=model_id,
        publishing=publishing,
        spec=spec,
        actor=by.actor,
        request_id=by.request_id,
        status="queued",
        progress=_waiting(),
        revision=0,
        attempts=0,
        deaths=0,
        fence=0,
        created_at=database_now(session),
    )
    session.add(job)
    session.flush()
    session.add_all(JobDependencyRow(job_id=job.id, waits_for_id=other) for other in set(waits_for))
    session.flush()
    return job


def abandoned(session: Session, job_id: UUID, kind: str) -> list[UUID]:
    """The jobs of this kind that this one waited for, that are still to be done, and that no other job waits for."""
    other, waiting = aliased(JobDependencyRow), aliased(JobRow)
    wanted = exists().where(
        other.waits_for_id == JobRow.id,
        other.job_id != job_id,
        waiting.id == other.job_id,
        waiting.status.in_(_UNFINISHED),
    )
    found = (
        select(JobRow.id)
        .join(JobDependencyRow, JobDependencyRow.waits_for_id == JobRow.id)
        .where(JobDependencyRow.job_id == job_id, JobRow.kind == kind, JobRow.status.in_(_UNFINISHED), ~wanted)
        .order_by(JobRow.sequence)
    )
    return list(session.scalars(found))


def claimable(session: Session, kinds: Collection[str]) -> bool:
    """Whether `claim` would find a job now; reads only, so that an idle worker never takes SQLite's write lock."""
    return session.scalar(select(_next_job(kinds).exists())) is True


def next_in_line(session: Session, kinds: Collection[str]) -> JobRow | None:
    """The oldest job of these kinds that could run now, and waits for a worker alone; reads only."""
    return session.scalars(_next_job(kinds)).first()


def claim(session: Session, owner: str, kinds: Collection[str], *, lease: timedelta = LEASE) -> Claim | None:
    """Take the oldest job of these kinds that may run now, or None."""
    try:
        with session.begin_nested():
            job = session.scalars(_next_job(kinds).with_for_update(skip_locked=True, of=JobRow)).first()
            return _taken(job, owner, database_now(session), lease) if job else None
    except IntegrityError:
        # uq_job_one_publishing_per_model: another worker started a publishing job of this model in the same moment.
        return None


def standing(session: Session, claim: Claim) -> Standing:
    """How a claim stands, without writing."""
    return _standing(session.execute(select(JobRow.cancel_requested_at).where(*_held(claim))))


def renew(session: Session, claim: Claim, *, lease: timedelta = LEASE) -> Standing:
    """Extend the lease, also one that ran out without anyone else taking the job, and say how the claim stands."""
    renewal = update(JobRow).where(*_held(claim)).values(lease_expires_at=database_now(session) + lease)
    return _standing(session.execute(renewal.returning(JobRow.cancel_requested_at)))


def report_progress(session: Session, claim: Claim, fraction: float, stage: str, message: str) -> None:
    """Note how far the job is, `fraction` in 0..1; raises LostClaim."""
    progress = _progress(min(max(fraction, 0.0), 1.0), stage, message)
    report = update(JobRow).where(*_held(claim)).values(progress=progress, revision=JobRow.revision + 1)
    if session.execute(report.returning(JobRow.id)).one_or_none() is None:
        raise _lost(claim)


def succeed(session: Session, claim: Claim, result: dict[str, Any]) -> JobRow:
    """End the job as succeeded; the first statement of the transaction that holds its effects. Raises LostClaim."""
    job = _locked(session, claim)
    job.progress = _progress(1.0, "done", "")
    job.result = result
    return _finished(session, job, "succeeded")


def fail(session: Session, claim: Claim, error: ForgetteryError, ended: Mapping[str, Ended]) -> JobRow:
    """End the job as failed with the error's problem document, and let its kind know. Raises LostClaim."""
    return _failed(session, _locked(session, claim), error, ended)


def cancel(session: Session, claim: Claim, ended: Mapping[str, Ended]) -> JobRow:
    """End a running job, whose process is gone, as cancelled, and let its kind know. Raises LostClaim."""
    return _cancelled(session, _locked(session, claim), ended)


def release(session: Session, claim: Claim, ended: Mapping[str, Ended]) -> None:
    """Put the job back into the queue without counting a death; raises LostClaim."""
    _given_back(session, _locked(session, claim), ended)


def record_death(session: Session, claim: Claim, ended: Mapping[str, Ended]) -> None:
    """Count an attempt that died by itself: the job is queued again, or failed after too many. Raises LostClaim."""
    job = _locked(session, claim)
    job.deaths += 1
    if job.deaths >= MOST_DEATHS and job.cancel_requested_at is None:
        exhausted = AttemptsExhausted(f"{job.deaths} attempts died; the server's log says how each of them ended")
        _failed(session, job, exhausted, ended)
    else:
        _given_back(session, job, ended)


def request_cancel(session: Session, job_id: UUID, ended: Mapping[str, Ended]) -> JobRow:
    """Cancel a queued job at once, or ask the supervisor of a running one to; raises JobNotFound, JobFinished."""
    job = session.scalars(_fresh(select(JobRow).where(JobRow.id == job_id))).one_or_none()
    if job is None:
        raise JobNotFound(f"there is no job {job_id}; GET /v1/jobs lists them")
    if job.status == "queued":
        return _cancelled(session, job, ended)
    if job.status != "running":
        raise JobFinished(f"the job has ended as {job.status}; there is nothing left to cancel")
    if job.cancel_requested_at is None:
        job.cancel_requested_at = database_now(session)
        job.revision += 1
        session.flush()
    return job


def any_lapsed(session: Session, survivor: str, kinds: Collection[str]) -> bool:
    """Whether `release_dead` would find a job now; reads only."""
    return bool(_lapsed(session, select(JobRow), survivor, kinds))


def release_dead(session: Session, survivor: str, ended: Mapping[str, Ended]) -> dict[str, str | None]:
    """Give jobs whose owner is dead on this machine, or let the lease run out, back to the queue; no death is counted.

    The former owners are given by the handle of the attempt that is over. Nothing is taken from `survivor`, the owner
    that asks.
    """
    jobs = _lapsed(session, _fresh(select(JobRow), skip_locked=True), survivor, ended.keys())
    former_owners = {handle_of(job.id, job.fence): job.owner for job in jobs}
    for job in jobs:
        _given_back(session, job, ended)
    return former_owners


def _next_job(kinds: Collection[str]) -> Select[JobRow]:
    other = aliased(JobRow)
    must_wait = exists().where(
        other.model_id == JobRow.model_id,
        other.publishing,
        or_(other.status == "running", and_(other.status == "queued", other.sequence < JobRow.sequence)),
    )
    awaited = aliased(JobRow)
    depends = exists().where(
        JobDependencyRow.job_id == JobRow.id,
        JobDependencyRow.waits_for_id == awaited.id,
        awaited.status.in_(_UNFINISHED),
    )
    ready = and_(JobRow.status == "queued", JobRow.kind.in_(kinds), ~depends, or_(~JobRow.publishing, ~must_wait))
    return select(JobRow).where(ready).order_by(JobRow.sequence).limit(1)


def _taken(job: JobRow, owner: str, now: datetime, lease: timedelta) -> Claim:
    job.status = "running"
    job.owner = owner
    job.lease_expires_at = now + lease
    job.started_at = job.started_at or now
    job.progress = _progress(0.0, "starting", "")
    job.fence += 1
    job.attempts += 1
    job.revision += 1
    return Claim(job.id, job.model_id, job.kind, job.spec, job.by, job.fence)


def _held(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """The guard of everything that is written about a running job."""
    return JobRow.id == claim.job_id, JobRow.fence == claim.fence, JobRow.status == "running"


def handle_of(job_id: UUID, fence: int) -> str:
    """The name of one attempt among all attempts of all jobs."""
    return f"{job_id}-{fence}"


def _standing(found: Result[datetime | None]) -> Standing:
    row = found.one_or_none()
    if row is None:
        return "lost"
    return "continue" if row[0] is None else "cancel"


def _fresh(statement: Select[JobRow], *, skip_locked: bool = False) -> Select[JobRow]:
    # The row lock makes the guard and the write that follows it one step: PostgreSQL evaluates the guard anew on the
    # locked row, and SQLite's writing transaction excludes every other one from its first statement.
    locking = statement.with_for_update(skip_locked=skip_locked)
    return locking.execution_options(populate_existing=True)


def _locked(session: Session, claim: Claim) -> JobRow:
    job = session.scalars(_fresh(select(JobRow).where(*_held(claim)))).one_or_none()
    if job is None:
        raise _lost(claim)
    return job


def _lost(claim: Claim) -> LostClaim:
    return LostClaim(f"attempt {claim.handle} is no longer the owner of its job")


def _lapsed(session: Session, source: Select[JobRow], survivor: str, kinds: Collection[str]) -> list[JobRow]:
    foreign = source.where(JobRow.status == "running", JobRow.owner != survivor, JobRow.kind.in_(kinds))
    now = database_now(session)
    rows = session.scalars(foreign.order_by(JobRow.sequence)).all()
    return [job for job in rows if _is_over(job.lease_expires_at, now) or is_dead(job.owner or "")]


def _is_over(lease_expires_at: datetime | None, now: datetime) -> bool:
    return lease_expires_at is None or lease_expires_at < now


def _given_back(session: Session, job: JobRow, ended: Mapping[str, Ended]) -> None:
    if job.cancel_requested_at is not None:
        _cancelled(session, job, ended)
        return
    job.status = "queued"
    job.progress = _waiting()
    job.owner = job.lease_expires_at = None
    job.revision += 1
    session.flush()


def _failed(session: Session, job: JobRow, error: ForgetteryError, ended: Mapping[str, Ended]) -> JobRow:
    job.problem = problem_of(error, f"/v1/jobs/{job.id}").model_dump(mode="json", exclude_none=True)
    _finished(session, job, "failed")
    ended[job.kind](session, job)
    return job


def _cancelled(session: Session, job: JobRow, ended: Mapping[str, Ended]) -> JobRow:
    job.cancel_requested_at = job.cancel_requested_at or database_now(session)
    _finished(session, job, "cancelled")
    ended[job.kind](session, job)
    return job


def _finished(session: Session, job: JobRow, status: Literal["succeeded", "failed", "cancelled"]) -> JobRow:
    job.status = status
    job.finished_at = database_now(session)
    job.owner = job.lease_expires_at = None
    job.revision += 1
    session.flush()
    return job


def _waiting() -> dict[str, Any]:
    return _progress(0.0, "queued", "")


def _progress(fraction: float, stage: str, message: str) -> dict[str, Any]:
    return {"fraction": fraction, "stage": stage, "message": message}
