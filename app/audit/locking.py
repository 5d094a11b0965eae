"""The lock of the log: one transaction appends, or signs, at a time."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

_LOCK = 0x666F7267_61756469  # "forgaudi": any fixed number, apart from that of migrations


def lock(session: Session) -> None:
    """Keep others from appending until this writing transaction ends."""
    if session.get_bind().dialect.name == "postgresql":
        # On SQLite the transaction has held the write lock since it began.
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
