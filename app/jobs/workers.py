"""Which workers are there: a row for each, renewed by its heartbeat; readiness asks when one was last seen."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.database.engine import database_now
from app.database.tables import WorkerRow

_KEPT = timedelta(days=1)
"""How long the row of a worker that died without a word is kept."""


def seen(session: Session, name: str) -> None:
    """Note that the worker lives, and drop the rows of those not heard of for a day."""
    now = database_now(session)
    row = session.get(WorkerRow, name)
    if row is None:
        session.add(WorkerRow(id=name, started_at=now, seen_at=now))
    else:
        row.seen_at = now
    session.execute(delete(WorkerRow).where(WorkerRow.seen_at < now - _KEPT))


def gone(session: Session, name: str) -> None:
    """Note that the worker ended."""
    session.execute(delete(WorkerRow).where(WorkerRow.id == name))
