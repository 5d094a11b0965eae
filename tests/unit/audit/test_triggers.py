"""What the triggers stop, statement by statement, for a connection that has every right and none of our settings.

They stop accidents. The last tests show what stays open to whoever owns the database: only a size and root kept by
somebody else tells of that.
"""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from app.audit import log
from app.database.engine import Database
from app.database.tables import AuditEntryRow
from tests.unit.audit.conftest import SQLITE_GUARDS, Outsider

COLUMNS = "leaf_index, entry, leaf_hash, at, event, actor"
VALUES = "entry, leaf_hash, at, event, actor FROM audit_entry WHERE leaf_index = 1"
REFUSED = "append-only"

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def refused(database: Database, outsider: Outsider, *statements: str, reason: str = REFUSED) -> None:
    before = fingerprint(database)
    with pytest.raises(DBAPIError, match=reason):
        outsider.execute(*statements)
    assert fingerprint(database) == before


def fingerprint(database: Database) -> tuple[int, str]:
    with database.reading() as session:
        result = log.verify(session)
    assert result.ok, result.problems
    return result.size, result.root


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET actor = 'local' WHERE leaf_index = 1",
        "UPDATE audit_entry SET leaf_index = 9 WHERE leaf_index = 4",
        "UPDATE audit_entry SET actor = actor",
        "DELETE FROM audit_entry WHERE leaf_index = 4",
        "DELETE FROM audit_entry",
        f"INSERT INTO audit_entry ({COLUMNS}) SELECT 1, {VALUES} ON CONFLICT (leaf_index) DO UPDATE SET actor = 'x'",
        f"INSERT INTO audit_entry ({COLUMNS}) SELECT 1, {VALUES} ON CONFLICT DO NOTHING",
        f"INSERT INTO audit_entry ({COLUMNS}) SELECT 1, {VALUES}",
        f"INSERT INTO audit_entry ({COLUMNS}) SELECT 6, {VALUES}",
        f"INSERT INTO audit_entry ({COLUMNS}) SELECT -1, {VALUES}",
    ],
)
def test_no_statement_changes_removes_or_skips_an_entry(
    five_entries: Database, outsider: Outsider, statement: str
) -> None:
    refused(five_entries, outsider, statement)


@SQLITE
@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT OR REPLACE INTO audit_entry ({COLUMNS}) SELECT 1, {VALUES}",
        f"REPLACE INTO audit_entry ({COLUMNS}) SELECT 1, {VALUES}",
        f"INSERT OR IGNORE INTO audit_entry ({COLUMNS}) SELECT 1, {VALUES}",
        f"INSERT INTO audit_entry ({COLUMNS}) SELECT NULL, {VALUES}",
        "UPDATE OR REPLACE audit_entry SET leaf_index = 1 WHERE leaf_index = 4",
    ],
)
def test_sqlite_replaces_no_entry(five_entries: Database, outsider: Outsider, statement: str) -> None:
    refused(five_entries, outsider, "PRAGMA recursive_triggers = OFF", statement)


@POSTGRESQL
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET actor = 'x'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "TRUNCATE audit_entry CASCADE",
        "MERGE INTO audit_entry USING (SELECT 1 AS one) ON leaf_index = one WHEN MATCHED THEN UPDATE SET actor = 'x'",
        "MERGE INTO audit_entry USING (SELECT 1 AS one) ON leaf_index = one WHEN MATCHED THEN DELETE",
        "WITH gone AS (DELETE FROM audit_entry RETURNING *) SELECT count(*) FROM gone",
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_postgresql_empties_and_merges_nothing_in_any_replication_role(
    five_entries: Database, outsider: Outsider, statement: str, role: str
) -> None:
    refused(five_entries, outsider, f"SET LOCAL session_replication_role = {role}", statement)


@POSTGRESQL
def test_a_temporary_table_of_the_same_name_does_not_mislead_the_guard(
    five_entries: Database, outsider: Outsider
) -> None:
    refused(
        five_entries,
        outsider,
        "CREATE TEMPORARY TABLE audit_entry (leaf_index bigint)",
        "INSERT INTO pg_temp.audit_entry VALUES (98)",
        f"INSERT INTO public.audit_entry ({COLUMNS}) SELECT 99, {VALUES.replace('audit_entry', 'public.audit_entry')}",
    )


def test_the_next_index_is_let_in(five_entries: Database, outsider: Outsider) -> None:
    outsider.execute(
        f"INSERT INTO audit_entry ({COLUMNS}) SELECT 5, {VALUES}",
        f"INSERT INTO audit_entry ({COLUMNS}) SELECT 6, {VALUES}",
    )
    with five_entries.reading() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntryRow)) == 7


def test_one_statement_may_add_several_in_order(five_entries: Database, outsider: Outsider) -> None:
    both = f"SELECT 5, {VALUES} UNION ALL SELECT 6, {VALUES} ORDER BY 1"
    outsider.execute(f"INSERT INTO audit_entry ({COLUMNS}) {both}")
    with five_entries.reading() as session:
        assert session.scalar(select(func.max(AuditEntryRow.leaf_index))) == 6


@SQLITE
def test_left_open_by_design_sqlite_lets_any_connection_drop_the_guards(
    five_entries: Database, outsider: Outsider
) -> None:
    outsider.execute(*(f"DROP TRIGGER {name}" for name in SQLITE_GUARDS), "DELETE FROM audit_entry")
    assert fingerprint(five_entries)[0] == 0


@POSTGRESQL
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_entry_refuses_change ON audit_entry",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    ],
)
def test_left_open_by_design_the_owner_of_a_postgresql_database_can_disarm_them(
    five_entries: Database, outsider: Outsider, statement: str
) -> None:
    outsider.execute(statement, "DELETE FROM audit_entry")
    assert fingerprint(five_entries)[0] == 0


def test_our_own_connections_are_refused_too(five_entries: Database) -> None:
    with pytest.raises(DBAPIError, match=REFUSED), five_entries.writing() as session:
        session.execute(text("DELETE FROM audit_entry"))
    assert fingerprint(five_entries)[0] == 5
