"""However many write and die, the log has no gap, no fork and no half entry."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audit import log
from app.database.engine import Database
from app.database.tables import AuditEntryRow
from app.errors import DatabaseUnavailable
from app.specs.originator import Originator
from tests.unit.audit import writers
from tests.waiting import HANGS_AFTER

ROOT = Path(__file__).parents[3]


def url_of(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


def run_writers(mode: str, database: Database) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.audit.writers", mode, url_of(database)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_AFTER,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def verified_size(database: Database) -> int:
    with database.reading() as session:
        result = log.verify(session)
        assert result.ok, result.problems
        assert session.scalar(select(func.max(AuditEntryRow.leaf_index))) == result.size - 1
    return result.size


def test_eight_processes_that_roll_back_every_fifth_leave_no_gap(database: Database) -> None:
    answer = run_writers("together", database)
    assert answer["failed"] == 0
    assert answer["transactions"] <= verified_size(database) <= 3 * answer["transactions"]


def test_a_log_whose_writers_were_killed_verifies_and_goes_on(database: Database) -> None:
    assert run_writers("killed", database)["kills"] == writers.KILLS
    size = verified_size(database)
    assert size >= writers.KILLS
    with database.writing() as session:
        assert log.append(session, "model.deleted", by=Originator("local"), model="digits") == size


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_snapshot_older_than_the_last_entry_is_an_error_and_not_a_fork(five_entries: Database) -> None:
    engine = five_entries.engine.execution_options(write=True, isolation_level="REPEATABLE READ")
    with Session(engine) as late:
        assert late.scalar(select(func.count()).select_from(AuditEntryRow)) == 5
        with five_entries.writing() as session:
            log.append(session, "model.deleted", by=Originator("local"), model="digits")
        with pytest.raises(IntegrityError):
            log.append(late, "model.deleted", by=Originator("local"), model="digits")
    assert verified_size(five_entries) == 6


def test_whoever_appends_waits_for_the_other_transaction(five_entries: Database) -> None:
    impatient = Database(url_of(five_entries), busy_seconds=0.2)
    with five_entries.writing() as session:
        log.append(session, "model.deleted", by=Originator("local"), model="digits")
        with pytest.raises(DatabaseUnavailable), impatient.writing() as other:
            log.append(other, "model.deleted", by=Originator("local"), model="digits")
    with impatient.writing() as other:
        assert log.append(other, "model.deleted", by=Originator("local"), model="digits") == 6
    impatient.dispose()
    assert verified_size(five_entries) == 7
