from __future__ import annotations

import pytest

from app.database.engine import Database
from app.operations import audit
from app.schemas import AuditProblem
from tests.unit.audit.conftest import SQLITE_GUARDS, Outsider

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def problems(database: Database) -> list[AuditProblem]:
    with database.reading() as session:
        result = audit.verify(session)
    assert result.ok == (not result.problems)
    return result.problems


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


@POSTGRESQL
@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("DROP TRIGGER audit_entry_refuses_change ON audit_entry", 1),
        ("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_refuses_truncate", 1),  # no longer as a replica
        ("CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'", 2),
    ],
)
def test_a_guard_that_was_disarmed_is_named(
    five_entries: Database, outsider: Outsider, statement: str, missing: int
) -> None:
    outsider.execute(statement)
    assert len(problems(five_entries)) == missing
