"""Whether the triggers still stand that keep the log from being changed by accident; a database's owner can drop them.

Each is compared with what the migration installs, as the database itself keeps it. Other triggers are ignored: no
trigger takes another's refusal back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.contract.audit import AuditProblem


@dataclass(frozen=True)
class _Guard:
    definition: str
    function: str = ""
    """Language, security, settings and body of what it calls; SQLite has the body in the definition."""
    enabled: str = "A"
    """ALWAYS, so also under `session_replication_role = replica`; SQLite knows nothing else."""


def _function(body: str) -> str:
    return f"plpgsql invoker {body}"


_REFUSE_CHANGE = _function(
    " BEGIN RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation'; END "
)
_DEMAND_NEXT = _function(
    " DECLARE next bigint; BEGIN "
    "EXECUTE format('SELECT coalesce(max(leaf_index), -1) + 1 FROM %s', TG_RELID::regclass) INTO next; "
    "IF NEW.leaf_index <> next THEN "
    "RAISE EXCEPTION '% is append-only: leaf_index must be %', TG_TABLE_NAME, next "
    "USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END "
)
_POSTGRESQL = {
    "audit_entry_refuses_change": _Guard(
        "CREATE TRIGGER audit_entry_refuses_change BEFORE DELETE OR UPDATE ON audit_entry "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        _REFUSE_CHANGE,
    ),
    "audit_entry_refuses_truncate": _Guard(
        "CREATE TRIGGER audit_entry_refuses_truncate BEFORE TRUNCATE ON audit_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
        _REFUSE_CHANGE,
    ),
    "audit_entry_demands_next": _Guard(
        "CREATE TRIGGER audit_entry_demands_next BEFORE INSERT ON audit_entry "
        "FOR EACH ROW EXECUTE FUNCTION demand_next_leaf_index()",
        _DEMAND_NEXT,
    ),
}
_SQLITE = {
    "audit_entry_refuses_update": _Guard(
        "CREATE TRIGGER audit_entry_refuses_update BEFORE UPDATE ON audit_entry "
        "BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only: UPDATE refused'); END"
    ),
    "audit_entry_refuses_delete": _Guard(
        "CREATE TRIGGER audit_entry_refuses_delete BEFORE DELETE ON audit_entry "
        "BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only: DELETE refused'); END"
    ),
    "audit_entry_demands_next_leaf_index": _Guard(
        "CREATE TRIGGER audit_entry_demands_next_leaf_index BEFORE INSERT ON audit_entry "
        "WHEN NEW.leaf_index IS NOT (SELECT coalesce(max(leaf_index), -1) + 1 FROM audit_entry) "
        "BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only: leaf_index must be the next one'); END"
    ),
}
_SQLITE_FOUND = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_entry'")
# Pretty, a definition names no schema that is in the search path.
_POSTGRESQL_FOUND = text(
    "SELECT tgname, pg_get_triggerdef(pg_trigger.oid, true), "
    "concat_ws(' ', lanname, CASE WHEN prosecdef THEN 'definer' ELSE 'invoker' END, proconfig, prosrc), "
    "CAST(tgenabled AS text) "
    "FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_language ON pg_language.oid = prolang "
    "WHERE tgrelid = CAST('audit_entry' AS regclass) AND NOT tgisinternal"
)


def guard_problems(session: Session) -> Iterator[AuditProblem]:
    """A problem for each trigger that is not there, is switched off, or is not what was installed."""
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    rows = session.execute(_SQLITE_FOUND if on_sqlite else _POSTGRESQL_FOUND).all()
    found = {row[0]: _Guard(*row[1:]) for row in rows}
    installed: Mapping[str, _Guard] = _SQLITE if on_sqlite else _POSTGRESQL
    for name, guard in installed.items():
        for fault in _faults(found.get(name), guard):
            reason = f"the trigger {name}, which keeps the log from being changed, {fault}"
            yield AuditProblem(index=None, column=None, reason=reason)


def _faults(found: _Guard | None, installed: _Guard) -> Iterator[str]:
    if found is None:
        yield "is missing"
        return
    if found.enabled != installed.enabled:
        yield "is switched off" if found.enabled == "D" else "is not enabled ALWAYS"
    if found.definition != installed.definition:
        yield "was altered: its table, events or condition are not those that were installed"
    if found.function != installed.function:
        yield "was altered: the function that it calls is not the one that was installed"
