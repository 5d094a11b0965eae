from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select, text

from app.database.engine import Database
from app.database.tables import JobRow, WorkerRow
from app.jobs import queue, workers
from app.jobs.attempt import Attempt
from app.jobs.queue import LostClaim
from app.settings import Settings
from app.specs.originator import Originator


@pytest.fixture
def attempt(database: Database, settings: Settings, model: UUID) -> Attempt:
    with database.writing() as session:
        queue.submit(session, "toy", model, {"n": 1}, by=Originator("local", "r"))
        claim = queue.claim(session, "me", ["toy"])
    assert claim is not None
    return Attempt(claim, settings, database)


def stages(database: Database) -> tuple[str, str]:
    with database.reading() as session:
        job = session.scalars(select(JobRow)).one()
        return job.progress["stage"], job.progress["message"]


def test_an_attempt_knows_what_was_asked(attempt: Attempt, model: UUID) -> None:
    assert (attempt.model_id, attempt.kind, attempt.spec) == (model, "toy", {"n": 1})
    assert (attempt.by, attempt.fence) == (Originator("local", "r"), 1)
    assert attempt.handle == f"{attempt.job_id}-1"


def test_progress_is_throttled_but_for_a_new_stage(attempt: Attempt, database: Database) -> None:
    attempt.progress(0.0, "training", "epoch 1")
    attempt.progress(0.1, "training", "epoch 2")
    assert stages(database) == ("training", "epoch 1")
    attempt.progress(0.5, "measuring", "on the test set")
    assert stages(database) == ("measuring", "on the test set")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_busy_database_costs_only_the_report(attempt: Attempt, database: Database) -> None:
    impatient = Database(str(database.engine.url), busy_seconds=0)
    hurried = Attempt(attempt.claim, attempt.settings, impatient)
    with database.writing() as session:
        session.execute(text("SELECT 1"))
        hurried.progress(0.5, "training", "")
    impatient.dispose()
    assert stages(database) == ("starting", "")


def test_success_and_effects_are_one_transaction(attempt: Attempt, database: Database) -> None:
    with pytest.raises(ArithmeticError), attempt.succeeding({}) as session:  # noqa: PT012  the block is what is tested
        workers.seen(session, "effect")
        session.flush()
        raise ArithmeticError
    with database.reading() as session:
        assert session.scalars(select(JobRow.status)).one() == "running"
        assert session.scalars(select(WorkerRow)).all() == []
    with attempt.succeeding({"version": 1}) as session:
        workers.seen(session, "effect")
    with database.reading() as session:
        assert session.execute(select(JobRow.status, JobRow.result)).one() == ("succeeded", {"version": 1})
        assert session.scalars(select(WorkerRow.id)).one() == "effect"


def test_a_lost_attempt_has_no_effect_and_is_told_so(attempt: Attempt, database: Database) -> None:
    with database.writing() as session:
        queue.release(session, attempt.claim, {})
        assert queue.claim(session, "another", ["toy"]) is not None
    with pytest.raises(LostClaim), attempt.succeeding({}) as session:
        pytest.fail("the block must not be entered")
    with pytest.raises(LostClaim):
        attempt.progress(0.5, "training", "")
