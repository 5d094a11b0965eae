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
    """Language, security, settings and body of the function that the trigger calls; SQLite has the body in the
    definition."""
    enabled: str = "A"
    """When the trigger fires: `A`, always, also under `session_replication_role = replica`; SQLite knows nothing
    else."""


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
_DEMAND_NEXT_TILE = _function(
    " DECLARE next bigint; BEGIN "
    "EXECUTE format('SELECT coalesce(max(number), -1) + 1 FROM %s WHERE level = $1', TG_RELID::regclass) "
    "INTO next USING NEW.level; "
    "IF NEW.number <> next THEN "
    "RAISE EXCEPTION '% is append-only: number must be % on its level', TG_TABLE_NAME, next "
    "USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END "
)
_DEMAND_LARGER_SIZE = _function(
    " DECLARE largest bigint; BEGIN "
    "EXECUTE format('SELECT coalesce(max(size), -1) FROM %s', TG_RELID::regclass) INTO largest; "
    "IF NEW.size <= largest THEN "
    "RAISE EXCEPTION '% is append-only: size must be larger than %', TG_TABLE_NAME, largest "
    "USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END "
)


def _on_postgresql(table: str, demand: str, body: str) -> dict[str, _Guard]:
    return {
        f"{table}_refuses_change": _Guard(
            f"CREATE TRIGGER {table}_refuses_change BEFORE DELETE OR UPDATE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
            _REFUSE_CHANGE,
        ),
        f"{table}_refuses_truncate": _Guard(
            f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
            _REFUSE_CHANGE,
        ),
        f"{table}_demands_next": _Guard(
            f"CREATE TRIGGER {table}_demands_next BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {demand}()",
            body,
        ),
    }


def _on_sqlite(table: str, demand: str, condition: str, refusal: str) -> dict[str, _Guard]:
    refusals = {
        f"{table}_refuses_{verb.lower()}": _Guard(
            f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {verb} refused'); END"
        )
        for verb in ("UPDATE", "DELETE")
    }
    name = f"{table}_demands_{demand}"
    demanded = _Guard(
        f"CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {refusal}'); END"
    )
    return {**refusals, name: demanded}


_POSTGRESQL = {
    **_on_postgresql("audit_entry", "demand_next_leaf_index", _DEMAND_NEXT),
    **_on_postgresql("audit_tile", "demand_next_tile", _DEMAND_NEXT_TILE),
    **_on_postgresql("audit_checkpoint", "demand_larger_size", _DEMAND_LARGER_SIZE),
}
_SQLITE = {
    **_on_sqlite(
        "audit_entry",
        "next_leaf_index",
        "NEW.leaf_index IS NOT (SELECT coalesce(max(leaf_index), -1) + 1 FROM audit_entry)",
        "leaf_index must be the next one",
    ),
    **_on_sqlite(
        "audit_tile",
        "next",
        "NEW.number IS NOT (SELECT coalesce(max(number), -1) + 1 FROM audit_tile WHERE level = NEW.level)",
        "number must be the next one of its level",
    ),
    **_on_sqlite(
        "audit_checkpoint",
        "larger_size",
        "NEW.size <= (SELECT coalesce(max(size), -1) FROM audit_checkpoint)",
        "size must be larger than any before",
    ),
}
_SQLITE_FOUND = text(
    "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' "
    "AND tbl_name IN ('audit_entry', 'audit_tile', 'audit_checkpoint')"
)
# Pretty, a definition names no schema that is in the search path.
_POSTGRESQL_FOUND = text(
    "SELECT tgname, pg_get_triggerdef(pg_trigger.oid, true), "
    "concat_ws(' ', lanname, CASE WHEN prosecdef THEN 'definer' ELSE 'invoker' END, proconfig, prosrc), "
    "CAST(tgenabled AS text) "
    "FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_language ON pg_language.oid = prolang "
    "WHERE tgrelid IN (CAST('audit_entry' AS regclass), CAST('audit_tile' AS regclass), "
    "CAST('audit_checkpoint' AS regclass)) AND NOT tgisinternal"
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
