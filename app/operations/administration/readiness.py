"""Readiness: whether every part works, each named with how it is."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database.engine import Database, database_now
from app.database.tables import WorkerRow
from app.errors import Unavailable

OK = "ok"
_WORKER_SILENCE = timedelta(seconds=30)


def check(database: Database, home: Path, *, predictor_alive: bool) -> dict[str, str]:
    """How database, store, worker and predictor are; `ok` for each that works, else a few words."""
    checks = {"database": OK, "store": _store(home), "worker": "unknown while the database does not answer"}
    try:
        with database.reading() as session:
            checks["worker"] = _worker(session)
    except Unavailable:
        checks["database"] = "does not answer"
    return checks | {"predictor": OK if predictor_alive else "starting, or not running"}


def _store(home: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"x")
    except OSError:
        return "cannot be written"
    return OK


def _worker(session: Session) -> str:
    seen_at = session.scalar(select(func.max(WorkerRow.seen_at)))
    if seen_at is None or database_now(session) - seen_at > _WORKER_SILENCE:
        return f"none seen for {_WORKER_SILENCE.seconds} seconds"
    return OK
