"""Verification names what was changed behind the guards, and the tests say what it cannot see by itself."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
import rfc8785
from sqlalchemy import create_engine, text

from app.audit import log
from app.contract.audit import AuditVerification
from app.database.engine import Database
from app.evidence.merkle import leaf_hash
from app.specs.originator import Originator
from tests.unit.audit.conftest import JOB, Outsider

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def verified(database: Database) -> AuditVerification:
    with database.reading() as session:
        return log.verify(session)


def first_problem(database: Database) -> tuple[int | None, str | None]:
    result = verified(database)
    assert not result.ok
    return result.problems[0].index, result.problems[0].column


def entry_of(database: Database, index: int) -> dict[str, Any]:
    with database.reading() as session:
        found = session.execute(text("SELECT entry FROM audit_entry WHERE leaf_index = :index"), {"index": index})
        content: dict[str, Any] = json.loads(bytes(found.scalar_one()))
        return content


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("leaf_hash", b"\x00" * 32),
        ("leaf_hash", b""),
        ("at", "2020-01-01 00:00:00.000000"),
        ("event", "training.failed"),
        ("actor", "local"),
        ("request_id", None),
        ("request_id", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("model", "other"),
        ("model", None),
        ("version", 7),
        ("version", None),
        ("forget_request", "6ba7b8109dad11d180b400c04fd430c8"),
    ],
)
def test_a_changed_column_is_named(five_entries: Database, outsider: Outsider, column: str, value: Any) -> None:
    outsider.drop_guards()
    target = f"{column} = :value"
    if column in {"at", "forget_request"} and not outsider.is_sqlite:
        target = f"{column} = CAST(:value AS {'timestamptz' if column == 'at' else 'uuid'})"
    outsider.execute(f"UPDATE audit_entry SET {target} WHERE leaf_index = 2", value=value)
    result = verified(five_entries)
    assert [(problem.index, problem.column) for problem in result.problems] == [(2, column)]
    assert result.size == 5


FOREIGN = [
    ({"event": "model.renamed"}, "not an event"),
    ({"event": 7}, "no text"),
    ({"details": {"job": JOB, "reason": "a name of a person"}}, "no detail of this name"),
    ({"details": {"job": "not an id"}}, "form that the audit log demands"),
    ({"details": []}, "no object"),
    ({"actor": "somebody"}, "form that the audit log demands"),
    ({"forget_request": "not a UUID"}, "nothing writes such an entry"),
    ({"at": "2020-01-01T00:00:00.000000Z"}, "before that of an entry above it"),
    ({"at": "2020-01-01 00:00"}, "none that this log writes"),
]


@pytest.mark.parametrize(("change", "reason"), FOREIGN)
def test_an_entry_that_nothing_writes_is_named_though_its_hash_and_columns_fit(
    five_entries: Database, outsider: Outsider, change: dict[str, Any], reason: str
) -> None:
    content = entry_of(five_entries, 2) | change
    entry = rfc8785.dumps(content)
    outsider.drop_guards()
    outsider.execute(
        "UPDATE audit_entry SET entry = :entry, leaf_hash = :hash WHERE leaf_index = 2",
        entry=entry,
        hash=leaf_hash(entry),
    )
    if change.keys() == {"at"} and "T" in content["at"]:
        at = content["at"].replace("T", " ").removesuffix("Z") if outsider.is_sqlite else content["at"]
        kind = ":at" if outsider.is_sqlite else "CAST(:at AS timestamptz)"
        outsider.execute(f"UPDATE audit_entry SET at = {kind} WHERE leaf_index = 2", at=at)
    named = [problem for problem in verified(five_entries).problems if problem.column == "entry"]
    assert [problem.index for problem in named] == [2]
    assert reason in named[0].reason


@pytest.mark.parametrize(
    ("content", "column"),
    [
        (b"", "entry"),
        (b"not json", "entry"),
        (b'{"b":1, "a":2}', "entry"),
        (b"{}", "entry"),
        (b"[]", "entry"),
        (b"\xff\xfe", "entry"),
    ],
)
def test_bytes_that_are_no_entry_are_named(
    five_entries: Database, outsider: Outsider, content: bytes, column: str
) -> None:
    outsider.drop_guards()
    outsider.execute("UPDATE audit_entry SET entry = :entry WHERE leaf_index = 2", entry=content)
    assert first_problem(five_entries) == (2, column)


def test_changed_details_do_not_fit_the_leaf_hash(five_entries: Database, outsider: Outsider) -> None:
    content = entry_of(five_entries, 2)
    content["details"] = {"job": str(uuid4())}
    root = verified(five_entries).root
    outsider.drop_guards()
    outsider.execute("UPDATE audit_entry SET entry = :entry WHERE leaf_index = 2", entry=rfc8785.dumps(content))
    assert first_problem(five_entries) == (2, "leaf_hash")
    assert verified(five_entries).root != root


def test_a_changed_entry_with_a_fitting_hash_does_not_fit_its_columns(
    five_entries: Database, outsider: Outsider
) -> None:
    entry = rfc8785.dumps({**entry_of(five_entries, 2), "actor": "local", "version": None})
    outsider.drop_guards()
    outsider.execute(
        "UPDATE audit_entry SET entry = :entry, leaf_hash = :hash WHERE leaf_index = 2",
        entry=entry,
        hash=leaf_hash(entry),
    )
    problems = verified(five_entries).problems
    assert [(problem.index, problem.column) for problem in problems] == [(2, "actor"), (2, "version")]


def test_swapped_rows_are_both_named(five_entries: Database, outsider: Outsider) -> None:
    outsider.drop_guards()
    outsider.execute(
        "UPDATE audit_entry SET leaf_index = 99 WHERE leaf_index = 1",
        "UPDATE audit_entry SET leaf_index = 1 WHERE leaf_index = 3",
        "UPDATE audit_entry SET leaf_index = 3 WHERE leaf_index = 99",
    )
    problems = verified(five_entries).problems
    assert [(problem.index, problem.column) for problem in problems] == [(1, "leaf_index"), (3, "leaf_index")]


@pytest.mark.parametrize(
    ("condition", "first", "reason"),
    [
        ("leaf_index = 0", 0, "entry 0 is missing"),
        ("leaf_index = 2", 2, "entry 2 is missing"),
        ("leaf_index IN (1, 2)", 1, "entries 1 to 2 are missing"),
    ],
)
def test_a_gap_is_named(five_entries: Database, outsider: Outsider, condition: str, first: int, reason: str) -> None:
    outsider.drop_guards()
    outsider.execute(f"DELETE FROM audit_entry WHERE {condition}")
    (problem,) = verified(five_entries).problems
    assert (problem.index, problem.column, problem.reason) == (first, "leaf_index", reason)


def test_an_entry_before_the_first_is_named(five_entries: Database, outsider: Outsider) -> None:
    outsider.drop_guards()
    outsider.execute("UPDATE audit_entry SET leaf_index = -1 WHERE leaf_index = 4")
    assert first_problem(five_entries) == (-1, "leaf_index")


def test_left_to_checkpoints_a_cut_tail_is_a_valid_shorter_log(five_entries: Database, outsider: Outsider) -> None:
    before = verified(five_entries)
    outsider.drop_guards()
    outsider.execute("DELETE FROM audit_entry WHERE leaf_index = 4")
    after = verified(five_entries)
    assert after.ok
    assert (after.size, before.size) == (4, 5)


def test_left_to_checkpoints_a_rewrite_of_everything_shows_only_in_the_root(
    five_entries: Database, outsider: Outsider
) -> None:
    before = verified(five_entries)
    entry = rfc8785.dumps({**entry_of(five_entries, 2), "actor": "local"})
    outsider.drop_guards()
    outsider.execute(
        "UPDATE audit_entry SET entry = :entry, leaf_hash = :hash, actor = 'local' WHERE leaf_index = 2",
        entry=entry,
        hash=leaf_hash(entry),
    )
    after = verified(five_entries)
    assert after.ok
    assert after.root != before.root


def test_the_first_hundred_problems_are_named_and_the_rest_is_still_counted(database: Database) -> None:
    with database.writing() as session:
        for _ in range(120):
            log.append(session, "model.deleted", by=Originator("local"), model="digits")
    outsider = Outsider(database)
    outsider.drop_guards()
    outsider.execute("UPDATE audit_entry SET actor = 'admin'")
    outsider.engine.dispose()
    result = verified(database)
    assert [problem.index for problem in result.problems] == list(range(100))
    assert result.size == 120


@SQLITE
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("entry", "text"),
        ("entry", 5),
        ("leaf_hash", "text"),
        ("at", "yesterday"),
        ("at", b"\x00"),
        ("version", "seven"),
        ("actor", b"admin"),
        ("forget_request", "no uuid"),
        ("forget_request", 17),
    ],
)
def test_values_of_the_wrong_type_are_named_and_do_not_stop_the_verifier(
    five_entries: Database, outsider: Outsider, column: str, value: Any
) -> None:
    outsider.drop_guards()
    outsider.execute(f"UPDATE audit_entry SET {column} = :value WHERE leaf_index = 2", value=value)
    assert first_problem(five_entries) == (2, column)


@POSTGRESQL
@pytest.mark.parametrize("value", ["infinity", "-infinity", "0044-03-15 BC", "294276-01-01"])
def test_times_that_python_cannot_hold_are_named(five_entries: Database, outsider: Outsider, value: str) -> None:
    outsider.drop_guards()
    outsider.execute(f"UPDATE audit_entry SET at = '{value}' WHERE leaf_index = 2")
    assert first_problem(five_entries) == (2, "at")


@POSTGRESQL
def test_the_time_zone_of_the_reader_does_not_matter(five_entries: Database) -> None:
    engine = create_engine(five_entries.engine.url)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {engine.url.database} SET timezone = 'Asia/Kathmandu'"))
    engine.dispose()
    five_entries.dispose()
    assert verified(five_entries).ok
