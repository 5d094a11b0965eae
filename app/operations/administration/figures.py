"""What the database knows for those who watch the server: jobs, how long they took, how long one waits, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Float, case, extract, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.database.engine import database_now
from app.database.tables import ForgetRequestRow, JobRow, VerificationRow
from app.jobs import queue
from app.operations.handlers import HANDLERS

BOUNDS = (1, 5, 15, 60, 300, 900, 3600, 14400, 43200)
"""Seconds up to which durations are counted."""
_OUTCOMES = ("succeeded", "failed", "cancelled")
_SECONDS_OF_A_DAY = 86400


@dataclass(frozen=True)
class Durations:
    """Durations, from first start to end, of all jobs of one kind that ended in one way."""

    kind: str
    outcome: str
    up_to: list[int]
    """For each of `BOUNDS`, the number of jobs that took no longer."""
    count: int
    seconds: float


@dataclass(frozen=True)
class Figures:
    """One look at the database."""

    jobs: Mapping[str, int]
    """The number of jobs by status; statuses without jobs are left out."""
    durations: list[Durations]
    """Durations of every kind and outcome, zeros too: to compute a rate or an increase, a figure from before the first
    job is needed."""
    queue_age: float
    """Seconds that the oldest job has waited that could run and does not; 0 if there is no such job."""
    verdicts: Mapping[tuple[str, str], int]
    """The number of verdicts, by what was judged (`forget_request` or `verification`) and by verdict."""


def look(session: Session) -> Figures:
    """Read all figures, as they are now."""
    return Figures(
        jobs=dict(session.execute(select(JobRow.status, func.count()).group_by(JobRow.status)).all()),
        durations=_durations(session),
        queue_age=_queue_age(session),
        verdicts=_verdicts(session, "forget_request", ForgetRequestRow.verdict)
        | _verdicts(session, "verification", VerificationRow.verdict),
    )


def _durations(session: Session) -> list[Durations]:
    seconds = _seconds(session, JobRow.started_at, JobRow.finished_at)
    counts = [func.sum(case((seconds <= bound, 1), else_=0)) for bound in BOUNDS]
    statement = (
        select(JobRow.kind, JobRow.status, func.count(), func.sum(seconds), *counts)
        .where(JobRow.started_at.is_not(None), JobRow.finished_at.is_not(None))
        .group_by(JobRow.kind, JobRow.status)
    )
    found = {
        (kind, outcome): Durations(kind, outcome, [int(count) for count in up_to], count, float(total))
        for kind, outcome, count, total, *up_to in session.execute(statement)
    }
    none = [0] * len(BOUNDS)
    return [
        found.get((kind, outcome), Durations(kind, outcome, none, 0, 0.0)) for kind in HANDLERS for outcome in _OUTCOMES
    ]


def _seconds(session: Session, start: Any, end: Any) -> ColumnElement[Any]:
    """The seconds between two times, with fractions; SQLite keeps times as text and counts in days."""
    if session.get_bind().dialect.name == "sqlite":
        return (func.julianday(end, type_=Float) - func.julianday(start, type_=Float)) * _SECONDS_OF_A_DAY
    return extract("epoch", end - start)


def _queue_age(session: Session) -> float:
    oldest = queue.next_in_line(session, HANDLERS.keys())
    return 0.0 if oldest is None else max((database_now(session) - oldest.created_at).total_seconds(), 0.0)


def _verdicts(session: Session, judged: str, verdict: InstrumentedAttribute[str | None]) -> dict[tuple[str, str], int]:
    found = session.execute(select(verdict, func.count()).where(verdict.is_not(None)).group_by(verdict))
    return {(judged, name): count for name, count in found if name is not None}
