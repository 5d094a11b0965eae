from __future__ import annotations

import pytest
from sqlalchemy import text

from app.contract.audit import AuditProblem
from app.database.engine import Database
from app.operations.administration import audit
from tests.unit.audit.conftest import SQLITE_GUARDS, Outsider

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)

MISSING = "is missing"
DEFINITION = "its table, events or condition"
REFUSAL = "'audit_entry is append-only: UPDATE refused'"
FUNCTION = "the function that it calls"
BODY = "BEGIN RAISE EXCEPTION ''audit_entry is append-only''; END"
"""Refuses with the words of the one that was installed, whatever else it does."""


def problems(database: Database) -> list[AuditProblem]:
    with database.reading() as session:
        result = audit.verify(session)
    assert result.ok == (not result.problems)
    return result.problems


def told(database: Database) -> list[tuple[str, str]]:
    """Trigger and fault of every problem, each of which must be one of a trigger."""
    found = problems(database)
    assert all(problem.index is None and problem.column is None for problem in found)
    reasons = [problem.reason.removeprefix("the trigger ").split(", ", 2) for problem in found]
    return [(name, fault) for name, _, fault in reasons]


def assert_told(database: Database, *expected: tuple[str, str]) -> None:
    found = told(database)
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert all(part in fault for (_, fault), (_, part) in zip(found, expected, strict=True)), found


def test_guards_that_stand_are_no_problem(five_entries: Database) -> None:
    assert problems(five_entries) == []


def test_guards_that_were_dropped_or_switched_off_are_named_though_every_entry_holds(
    five_entries: Database, outsider: Outsider
) -> None:
    outsider.drop_guards()
    found = problems(five_entries)
    assert [problem.index for problem in found] == [None] * 3
    assert all("audit_entry_" in problem.reason for problem in found)


@SQLITE
@pytest.mark.parametrize("name", SQLITE_GUARDS)
def test_one_that_refuses_nothing_is_as_good_as_missing(five_entries: Database, outsider: Outsider, name: str) -> None:
    idle = f"CREATE TRIGGER {name} BEFORE UPDATE ON audit_entry BEGIN SELECT 1; END"
    outsider.execute(f"DROP TRIGGER {name}", idle)
    [problem] = problems(five_entries)
    assert f"the trigger {name}," in problem.reason


@SQLITE
@pytest.mark.parametrize(
    ("installed", "altered"),
    [
        ("BEFORE", "AFTER"),
        ("ON audit_entry BEGIN", "ON audit_entry WHEN OLD.leaf_index > 9 BEGIN"),
        ("BEFORE UPDATE", "BEFORE UPDATE OF actor"),
        (f"RAISE(ABORT, {REFUSAL})", f"RAISE(IGNORE), {REFUSAL}"),
        (f"RAISE(ABORT, {REFUSAL})", REFUSAL),
        (f"RAISE(ABORT, {REFUSAL})", f"RAISE(ABORT, {REFUSAL}) WHERE OLD.leaf_index > 9"),
    ],
)
def test_sqlite_one_that_was_altered_is_named_though_it_still_says_append_only(
    five_entries: Database, outsider: Outsider, installed: str, altered: str
) -> None:
    name = "audit_entry_refuses_update"
    with five_entries.reading() as session:
        written: str = session.scalars(text(f"SELECT sql FROM sqlite_master WHERE name = '{name}'")).one()
    assert installed in written
    outsider.execute(f"DROP TRIGGER {name}", written.replace(installed, altered))
    assert_told(five_entries, (name, DEFINITION))


@SQLITE
def test_sqlite_one_of_another_table_is_missing(five_entries: Database, outsider: Outsider) -> None:
    name = "audit_entry_refuses_delete"
    other = (
        f"CREATE TRIGGER {name} BEFORE DELETE ON worker BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END"
    )
    outsider.execute(f"DROP TRIGGER {name}", other)
    assert_told(five_entries, (name, MISSING))


@POSTGRESQL
@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("DROP TRIGGER audit_entry_refuses_change ON audit_entry", 1),
        ("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_refuses_truncate", 1),  # no longer as a replica
        ("CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'", 6),
    ],
)
def test_a_guard_that_was_disarmed_is_named(
    five_entries: Database, outsider: Outsider, statement: str, missing: int
) -> None:
    outsider.execute(statement)
    assert len(problems(five_entries)) == missing


@POSTGRESQL
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "DROP FUNCTION refuse_change() CASCADE",
            [
                (f"{table}_{what}", MISSING)
                for table in ("audit_entry", "audit_tile", "audit_checkpoint")
                for what in ("refuses_change", "refuses_truncate")
            ],
        ),
        (
            "ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_demands_next",
            [("audit_entry_demands_next", "is switched off")],
        ),
        (
            "ALTER TABLE audit_entry ENABLE REPLICA TRIGGER audit_entry_demands_next",
            [("audit_entry_demands_next", "is not enabled ALWAYS")],
        ),
        (
            "ALTER FUNCTION demand_next_leaf_index() SECURITY DEFINER",
            [("audit_entry_demands_next", FUNCTION)],
        ),
        (
            "ALTER FUNCTION demand_next_leaf_index() SET search_path = elsewhere",
            [("audit_entry_demands_next", FUNCTION)],
        ),
        (
            f"CREATE OR REPLACE FUNCTION demand_next_leaf_index() RETURNS trigger LANGUAGE plpgsql AS '{BODY}'",
            [("audit_entry_demands_next", FUNCTION)],
        ),
        (
            "ALTER TRIGGER audit_entry_demands_next ON audit_entry RENAME TO another",
            [("audit_entry_demands_next", MISSING)],
        ),
    ],
)
def test_postgresql_says_of_each_what_became_of_it(
    five_entries: Database, outsider: Outsider, statement: str, expected: list[tuple[str, str]]
) -> None:
    outsider.execute(statement)
    assert_told(five_entries, *expected)


@POSTGRESQL
@pytest.mark.parametrize(
    "when",
    [
        "BEFORE UPDATE ON audit_entry FOR EACH ROW",
        "BEFORE UPDATE OF actor OR DELETE ON audit_entry FOR EACH ROW",
        "BEFORE UPDATE OR DELETE ON audit_entry FOR EACH STATEMENT",
        "AFTER UPDATE OR DELETE ON audit_entry FOR EACH ROW",
        "BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW WHEN (OLD.leaf_index > 9)",
    ],
)
def test_postgresql_one_of_other_events_is_named_though_it_calls_the_same_function(
    five_entries: Database, outsider: Outsider, when: str
) -> None:
    name = "audit_entry_refuses_change"
    outsider.execute(
        f"DROP TRIGGER {name} ON audit_entry",
        f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION refuse_change()",
        f"ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER {name}",
    )
    assert_told(five_entries, (name, DEFINITION))


@POSTGRESQL
def test_postgresql_one_that_calls_another_function_is_named(five_entries: Database, outsider: Outsider) -> None:
    name = "audit_entry_refuses_change"
    outsider.execute(
        "CREATE SCHEMA other",
        f"CREATE FUNCTION other.refuse_change() RETURNS trigger LANGUAGE plpgsql AS '{BODY}'",
        f"DROP TRIGGER {name} ON audit_entry",
        f"CREATE TRIGGER {name} BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW "
        "EXECUTE FUNCTION other.refuse_change()",
        f"ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER {name}",
    )
    assert_told(five_entries, (name, DEFINITION), (name, FUNCTION))


def test_a_trigger_beside_them_is_no_problem(five_entries: Database, outsider: Outsider) -> None:
    if outsider.is_sqlite:
        outsider.execute("CREATE TRIGGER replicated AFTER INSERT ON audit_entry BEGIN SELECT 1; END")
    else:
        outsider.execute(
            "CREATE FUNCTION replicate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER replicated AFTER INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION replicate()",
        )
    assert problems(five_entries) == []
