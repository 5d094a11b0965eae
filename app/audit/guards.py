"""Whether the triggers still stand that keep the log from being changed by accident: whoever owns a database can drop them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.schemas import AuditProblem

_MARK = "is append-only"
"""What each refuses with; one that says nothing of it was put in its place."""
_SQLITE = ("audit_entry_refuses_update", "audit_entry_refuses_delete", "audit_entry_demands_next_leaf_index")
_POSTGRESQL = ("audit_entry_refuses_change", "audit_entry_refuses_truncate", "audit_entry_demands_next")
_SQLITE_FOUND = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_entry'")
# Enabled ALWAYS: in any replication role.
_POSTGRESQL_FOUND = text(
    "SELECT tgname, prosrc FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid "
    "WHERE tgrelid = 'audit_entry'::regclass AND tgenabled = 'A'"
)


def missing_guards(session: Session) -> Iterator[AuditProblem]:
    """A problem for each trigger that is not there, is switched off, or refuses nothing."""
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    rows = session.execute(_SQLITE_FOUND if on_sqlite else _POSTGRESQL_FOUND).all()
    found = {row[0]: row[1] for row in rows}
    for name in _SQLITE if on_sqlite else _POSTGRESQL:
        if _MARK not in found.get(name, ""):
            reason = f"the trigger {name}, which keeps the log from being changed, is missing, switched off or replaced"
            yield AuditProblem(index=None, column=None, reason=reason)
