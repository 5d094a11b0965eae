"""Appending writes canonical entries in the caller's transaction; verification recomputes them all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.audit import log
from app.database.engine import Database, database_now
from app.database.tables import AuditEntryRow
from app.evidence.merkle import EMPTY_ROOT, leaf_hash
from app.specs.originator import Originator
from tests.oracles import naive_merkle_root


class Regretted(Exception):
    pass


def rows(database: Database) -> list[AuditEntryRow]:
    with database.reading() as session:
        return list(session.scalars(select(AuditEntryRow).order_by(AuditEntryRow.leaf_index)))


def test_an_empty_log_holds(database: Database) -> None:
    with database.reading() as session:
        result = log.verify(session)
    assert (result.ok, result.size, result.root, result.problems) == (True, 0, EMPTY_ROOT.hex(), [])


def test_entries_are_numbered_from_0(five_entries: Database) -> None:
    assert [row.leaf_index for row in rows(five_entries)] == [0, 1, 2, 3, 4]


def test_an_entry_is_the_canonical_json_of_what_was_said(database: Database) -> None:
    request, forget_request, job = str(uuid4()), uuid4(), str(uuid4())
    with database.writing() as session:
        before = database_now(session)
        index = log.append(
            session,
            "forget.requested",
            by=Originator("key:" + str(uuid4()), request),
            model="digits",
            version=3,
            forget_request=forget_request,
            details={"job": job, "classes": [2], "strategy": "zero", "seed": 2**53 - 1},
        )
    (row,) = rows(database)
    content = json.loads(row.entry)
    assert row.entry == rfc8785.dumps(content)
    assert content == {
        "format": 1,
        "index": index,
        "at": row.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "event": "forget.requested",
        "actor": row.actor,
        "request_id": request,
        "model": "digits",
        "version": 3,
        "forget_request": str(forget_request),
        "details": {"job": job, "classes": [2], "strategy": "zero", "seed": 2**53 - 1},
    }
    assert row.leaf_hash == leaf_hash(row.entry)
    assert row.at >= before
    assert row.forget_request == forget_request


def test_verification_gives_the_root_over_all_entries(five_entries: Database) -> None:
    with five_entries.reading() as session:
        result = log.verify(session)
    assert result.ok
    assert result.size == 5
    assert result.root == naive_merkle_root([row.entry for row in rows(five_entries)]).hex()


def test_verification_goes_through_every_batch(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_BATCH", 7)
    with database.writing() as session:
        for _ in range(50):
            log.append(session, "model.deleted", by=Originator("local"), model="digits")
    with database.reading() as session:
        result = log.verify(session)
    assert result.size == 50
    assert result.root == naive_merkle_root([row.entry for row in rows(database)]).hex()


def append_and_regret(database: Database) -> None:
    with database.writing() as session:
        assert log.append(session, "model.deleted", by=Originator("local"), model="digits") == 5
        raise Regretted


def test_an_event_of_a_transaction_that_fails_is_not_logged(five_entries: Database) -> None:
    with pytest.raises(Regretted):
        append_and_regret(five_entries)
    with five_entries.writing() as session:
        assert log.append(session, "model.deleted", by=Originator("local"), model="digits") == 5


def test_a_reading_session_cannot_append(database: Database) -> None:
    with database.reading() as session, pytest.raises(RuntimeError, match="writing"):
        log.append(session, "model.deleted", by=Originator("local"), model="digits")


def test_a_refused_entry_leaves_nothing(database: Database) -> None:
    with database.writing() as session, pytest.raises(ValueError, match="no detail of this name"):
        log.append(session, "model.deleted", by=Originator("local"), model="digits", details={"reason": "they asked"})
    assert rows(database) == []


def test_a_second_format_is_not_taken_for_the_first(five_entries: Database) -> None:
    content = json.loads(rows(five_entries)[0].entry)
    with pytest.raises(ValueError, match="format 1"):
        log._parsed(rfc8785.dumps({**content, "format": 2}))
    with pytest.raises(ValueError, match="format 1"):
        log._parsed(rfc8785.dumps({**content, "further": None}))


ascii_text = st.text(st.characters(max_codepoint=127), max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | ascii_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ascii_text, inner, max_size=4),
    max_leaves=12,
)
FIELDS = dict.fromkeys(log._FIELDS) | {"format": 1}


@given(values)
def test_what_rfc8785_writes_is_canonical_to_the_verifier(value: Any) -> None:
    content = {**FIELDS, "details": value}
    assert log._parsed(rfc8785.dumps(content)) == content


@given(values, st.sampled_from([(", ", ": "), (",", ": "), (",\n", ":")]))
def test_other_spellings_are_not_canonical(value: object, separators: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="canonical"):
        log._parsed(json.dumps({**FIELDS, "details": value}, separators=separators).encode())


@pytest.mark.parametrize(
    "details",
    [
        "1.5",
        "1e3",
        "NaN",
        "Infinity",
        "-0",
        "9007199254740993",
        '"\\u0041"',
        '"\u00e9"',
        '{"b":1,"a":1}',
        '{"a":1,"a":1}',
    ],
)
def test_numbers_keys_and_letters_outside_the_canonical_form_are_refused(details: str) -> None:
    entry = rfc8785.dumps({**FIELDS, "details": None}).replace(b'"details":null', f'"details":{details}'.encode())
    with pytest.raises(ValueError, match="canonical"):
        log._parsed(entry)


def test_bytes_that_are_no_json_are_refused() -> None:
    for entry in (b"", b"{", b"\xff", b"[" * 100_000, UUID(int=0), "text", None):
        with pytest.raises(ValueError, match="entry is not"):
            log._parsed(entry)


def test_a_clock_that_steps_back_does_not_turn_the_log_around(
    five_entries: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "database_now", lambda _session: datetime(2020, 1, 1, tzinfo=UTC))
    with five_entries.writing() as session:
        log.append(session, "model.deleted", by=Originator("admin"), model="digits")
    *_, last, stepped_back = rows(five_entries)
    assert stepped_back.at == last.at
    with five_entries.reading() as session:
        assert log.verify(session).problems == []
