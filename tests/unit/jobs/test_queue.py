from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.database.engine import Database
from app.database.tables import JobRow, WorkerRow
from app.errors import JobFinished, JobNotFound, NotApplicable
from app.jobs import queue, workers
from app.jobs.processes import name_of
from app.jobs.queue import MOST_DEATHS, Claim, Ended, LostClaim
from app.specs.originator import Originator
from tests.unit.jobs.conftest import new_model

KINDS = ["toy"]
ELSEWHERE = "another-host:1:1:another-boot:another-namespace"


class Endings(list[tuple[UUID, str, str | None]]):
    """Collects what `ended` is told: job, status and the type of the problem."""

    @property
    def by_kind(self) -> Mapping[str, Ended]:
        return {"toy": self._note}

    def _note(self, _session: Session, job: JobRow) -> None:
        self.append((job.id, job.status, job.problem["type"] if job.problem else None))


@pytest.fixture
def endings() -> Endings:
    return Endings()


def submit(database: Database, model: UUID, *, publishing: bool = True, kind: str = "toy") -> UUID:
    with database.writing() as session:
        job = queue.submit(session, kind, model, {"n": 1}, by=Originator("local"), publishing=publishing)
        return job.id


def take(database: Database, *, owner: str = ELSEWHERE, lease: float = 60) -> Claim | None:
    with database.writing() as session:
        return queue.claim(session, owner, KINDS, lease=timedelta(seconds=lease))


def taken(database: Database, *, owner: str = ELSEWHERE, lease: float = 60) -> Claim:
    claim = take(database, owner=owner, lease=lease)
    assert claim is not None
    return claim


def look(database: Database, job: UUID) -> JobRow:
    with database.reading() as session:
        row = session.scalars(select(JobRow).where(JobRow.id == job)).one()
        session.expunge(row)
        return row


def may_claim(database: Database) -> bool:
    with database.reading() as session:
        return queue.claimable(session, KINDS)


def release_dead(database: Database, endings: Endings, survivor: str = "me") -> dict[str, str | None]:
    with database.writing() as session:
        return queue.release_dead(session, survivor, endings.by_kind)


def test_jobs_of_one_model_are_claimed_in_order_and_one_at_a_time(database: Database, model: UUID) -> None:
    jobs = [submit(database, model) for _ in range(3)]
    ran = []
    while may_claim(database):
        claim = taken(database)
        assert take(database) is None
        with database.writing() as session:
            queue.succeed(session, claim, {})
        ran.append(claim.job_id)
    assert ran == jobs


def test_jobs_of_different_models_run_side_by_side(database: Database, model: UUID, other_model: UUID) -> None:
    first, second = submit(database, model), submit(database, other_model)
    assert [taken(database).job_id, taken(database).job_id] == [first, second]


def test_a_job_that_publishes_nothing_neither_waits_nor_blocks(database: Database, model: UUID) -> None:
    reading, publishing = submit(database, model, publishing=False), submit(database, model)
    another = submit(database, model, publishing=False)
    assert [taken(database).job_id for _ in range(3)] == [reading, publishing, another]


def test_a_worker_leaves_kinds_that_it_does_not_know(database: Database, model: UUID) -> None:
    submit(database, model, kind="of-a-later-release")
    assert not may_claim(database)
    assert take(database) is None


def test_the_database_itself_refuses_a_second_running_publishing_job_of_a_model(
    database: Database, model: UUID
) -> None:
    for _ in range(2):
        submit(database, model)
    with pytest.raises(IntegrityError), database.writing() as session:
        session.execute(update(JobRow).values(status="running"))


def test_claiming_side_by_side_gives_every_job_to_one_owner(database: Database) -> None:
    jobs = [submit(database, model) for model in [new_model(database) for _ in range(6)] for _ in range(4)]
    claims: list[Claim] = []

    def work() -> None:
        while len(claims) < len(jobs):
            claim = take(database)
            if claim is not None:
                claims.append(claim)
                with database.writing() as session:
                    queue.succeed(session, claim, {})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claim.job_id for claim in claims) == sorted(jobs)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_looking_for_work_does_not_wait_for_sqlites_write_lock(database: Database, model: UUID) -> None:
    submit(database, model)
    claim = taken(database)
    with database.writing() as session:
        session.execute(text("SELECT 1"))
        assert not may_claim(database)
        with database.reading() as reader:
            assert queue.standing(reader, claim) == "continue"
            assert not queue.any_lapsed(reader, "me", KINDS)


def test_every_claim_raises_fence_attempts_and_revision(database: Database, model: UUID, endings: Endings) -> None:
    job = submit(database, model)
    for number in (1, 2, 3):
        claim = taken(database)
        row = look(database, job)
        assert (claim.fence, row.fence, row.attempts, row.status) == (number, number, number, "running")
        with database.writing() as session:
            queue.release(session, claim, endings.by_kind)
        assert look(database, job).revision > row.revision
    assert look(database, job).deaths == 0


@pytest.mark.parametrize("change", ["progress", "succeed", "fail", "cancel", "release", "death"])
def test_who_lost_the_claim_can_write_nothing(database: Database, model: UUID, endings: Endings, change: str) -> None:
    job = submit(database, model)
    old = taken(database)
    with database.writing() as session:
        queue.release(session, old, endings.by_kind)
    taken(database)
    before = look(database, job)
    writes: dict[str, Callable[[Session], object]] = {
        "progress": lambda session: queue.report_progress(session, old, 0.5, "late", ""),
        "succeed": lambda session: queue.succeed(session, old, {}),
        "fail": lambda session: queue.fail(session, old, NotApplicable(), endings.by_kind),
        "cancel": lambda session: queue.cancel(session, old, endings.by_kind),
        "release": lambda session: queue.release(session, old, endings.by_kind),
        "death": lambda session: queue.record_death(session, old, endings.by_kind),
    }
    with pytest.raises(LostClaim), database.writing() as session:
        writes[change](session)
    with database.writing() as session:
        assert queue.renew(session, old) == queue.standing(session, old) == "lost"
    after = look(database, job)
    assert (after.revision, after.status, after.progress) == (before.revision, "running", before.progress)
    assert endings == []


def test_a_failed_job_keeps_its_problem_and_tells_its_kind(database: Database, model: UUID, endings: Endings) -> None:
    job = submit(database, model)
    claim = taken(database)
    with database.writing() as session:
        queue.fail(session, claim, NotApplicable("choose another method"), endings.by_kind)
    problem = look(database, job).problem
    assert problem is not None
    assert (problem["type"], problem["detail"], problem["status"], problem["instance"]) == (
        "/problems/not-applicable",
        "choose another method",
        422,
        f"/v1/jobs/{job}",
    )
    assert endings == [(job, "failed", "/problems/not-applicable")]


def test_the_fifth_death_fails_the_job_and_releases_do_not_count(
    database: Database, model: UUID, endings: Endings
) -> None:
    job = submit(database, model)
    for death in range(1, MOST_DEATHS + 1):
        lost = taken(database)
        with database.writing() as session:
            queue.release(session, lost, endings.by_kind)
        assert endings == []
        died = taken(database)
        with database.writing() as session:
            queue.record_death(session, died, endings.by_kind)
        assert look(database, job).deaths == death
    assert endings == [(job, "failed", "/problems/attempts-exhausted")]
    assert look(database, job).attempts == 2 * MOST_DEATHS
    assert not may_claim(database)


def test_cancelling_a_queued_job_ends_it_at_once(database: Database, model: UUID, endings: Endings) -> None:
    job = submit(database, model)
    with database.writing() as session:
        queue.request_cancel(session, job, endings.by_kind)
    assert look(database, job).status == "cancelled"
    assert endings == [(job, "cancelled", None)]
    assert not may_claim(database)


def test_what_a_kind_does_when_its_job_ends_is_part_of_the_same_transaction(database: Database, model: UUID) -> None:
    def fail(_session: Session, _job: JobRow) -> None:
        raise ArithmeticError

    job = submit(database, model)
    with pytest.raises(ArithmeticError), database.writing() as session:
        queue.request_cancel(session, job, {"toy": fail})
    assert look(database, job).status == "queued"


def test_cancelling_a_running_job_asks_its_supervisor(database: Database, model: UUID, endings: Endings) -> None:
    job = submit(database, model)
    claim = taken(database)
    for _ in range(2):
        with database.writing() as session:
            assert queue.request_cancel(session, job, endings.by_kind).status == "running"
    with database.writing() as session:
        assert queue.standing(session, claim) == queue.renew(session, claim) == "cancel"
    assert endings == []
    with database.writing() as session:
        queue.cancel(session, claim, endings.by_kind)
    assert endings == [(job, "cancelled", None)]


def test_a_job_that_finishes_before_its_cancellation_has_succeeded(
    database: Database, model: UUID, endings: Endings
) -> None:
    job = submit(database, model)
    claim = taken(database)
    with database.writing() as session:
        queue.request_cancel(session, job, endings.by_kind)
    with database.writing() as session:
        queue.succeed(session, claim, {"version": 1})
    with pytest.raises(LostClaim), database.writing() as session:
        queue.cancel(session, claim, endings.by_kind)
    assert look(database, job).status == "succeeded"
    with pytest.raises(JobFinished), database.writing() as session:
        queue.request_cancel(session, job, endings.by_kind)


@pytest.mark.parametrize("given_back", ["release", "death", "dead owner"])
def test_a_job_given_back_after_a_cancel_was_asked_for_is_cancelled(
    database: Database, model: UUID, endings: Endings, given_back: str
) -> None:
    job = submit(database, model)
    claim = taken(database, lease=-1)
    with database.writing() as session:
        queue.request_cancel(session, job, endings.by_kind)
    with database.writing() as session:
        match given_back:
            case "release":
                queue.release(session, claim, endings.by_kind)
            case "death":
                queue.record_death(session, claim, endings.by_kind)
            case _:
                queue.release_dead(session, "me", endings.by_kind)
    assert endings == [(job, "cancelled", None)]
    assert look(database, job).status == "cancelled"


def test_cancelling_an_unknown_job_says_so(database: Database) -> None:
    with pytest.raises(JobNotFound), database.writing() as session:
        queue.request_cancel(session, uuid4(), {})


def test_a_job_is_taken_from_an_owner_that_died_on_this_machine(
    database: Database, model: UUID, endings: Endings
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = name_of(process.pid)
        job = submit(database, model)
        taken(database, owner=owner)
        assert release_dead(database, endings) == {}
        process.kill()
    assert release_dead(database, endings) == {f"{job}-1": owner}
    row = look(database, job)
    assert (row.status, row.deaths, row.owner, row.lease_expires_at) == ("queued", 0, None, None)
    assert taken(database).fence == 2


def test_a_job_is_taken_from_a_silent_owner_only_when_its_lease_is_over(
    database: Database, model: UUID, other_model: UUID, endings: Endings
) -> None:
    silent, fresh = submit(database, model), submit(database, other_model)
    taken(database, lease=-1)
    taken(database, lease=60)
    assert release_dead(database, endings) == {f"{silent}-1": ELSEWHERE}
    assert look(database, fresh).status == "running"


def test_no_owner_takes_its_own_job_away(database: Database, model: UUID, endings: Endings) -> None:
    me = name_of(os.getpid())
    submit(database, model)
    claim = taken(database, owner=me, lease=-1)
    assert release_dead(database, endings, survivor=me) == {}
    with database.writing() as session:
        assert queue.renew(session, claim) == "continue"
    assert release_dead(database, endings) == {}


def test_progress_is_kept_within_its_range_and_raises_the_revision(database: Database, model: UUID) -> None:
    job = submit(database, model)
    claim = taken(database)
    before = look(database, job).revision
    with database.writing() as session:
        queue.report_progress(session, claim, 1.5, "training", "epoch 2 of 1")
    row = look(database, job)
    assert row.progress == {"fraction": 1.0, "stage": "training", "message": "epoch 2 of 1"}
    assert row.revision == before + 1


def test_a_worker_is_there_from_its_first_beat_until_it_goes(database: Database) -> None:
    for _ in range(2):
        with database.writing() as session:
            workers.seen(session, "me")
    with database.writing() as session:
        assert session.scalar(select(func.count()).select_from(WorkerRow)) == 1
        workers.gone(session, "me")
        assert session.scalar(select(func.count()).select_from(WorkerRow)) == 0


def depend(database: Database, model: UUID, *waits_for: UUID, publishing: bool = False) -> UUID:
    """A job that waits for these."""
    with database.writing() as session:
        return queue.submit(
            session, "toy", model, {}, by=Originator("local"), publishing=publishing, waits_for=waits_for
        ).id


@pytest.mark.parametrize("how", ["succeed", "fail", "cancel"])
def test_a_job_starts_once_all_that_it_waits_for_have_ended_in_whatever_way(
    database: Database, model: UUID, endings: Endings, how: str
) -> None:
    first, second = (submit(database, model, publishing=False) for _ in range(2))
    waiting = depend(database, model, first, second)
    claims = [taken(database), taken(database)]
    assert [claim.job_id for claim in claims] == [first, second]
    for claim in claims:
        assert not may_claim(database)
        with database.writing() as session:
            if how == "succeed":
                queue.succeed(session, claim, {})
            elif how == "fail":
                queue.fail(session, claim, NotApplicable("no"), endings.by_kind)
            else:
                queue.cancel(session, claim, endings.by_kind)
    assert taken(database).job_id == waiting


def test_a_publishing_job_that_waits_keeps_its_place_before_later_ones(database: Database, model: UUID) -> None:
    awaited = submit(database, model, publishing=False)
    waiting = depend(database, model, awaited, publishing=True)
    later = submit(database, model)
    claim = taken(database)
    assert (claim.job_id, take(database)) == (awaited, None)
    with database.writing() as session:
        queue.succeed(session, claim, {})
    claim = taken(database)
    assert claim.job_id == waiting
    with database.writing() as session:
        queue.succeed(session, claim, {})
    assert taken(database).job_id == later


def test_a_job_that_waits_does_not_start_while_what_it_waits_for_is_tried_again(
    database: Database, model: UUID, endings: Endings
) -> None:
    awaited = submit(database, model, publishing=False)
    depend(database, model, awaited)
    claim = taken(database)
    with database.writing() as session:
        queue.record_death(session, claim, endings.by_kind)
    assert taken(database).job_id == awaited
    assert take(database) is None


def test_only_what_nobody_else_waits_for_is_abandoned(database: Database, model: UUID) -> None:
    own, shared, done = (submit(database, model, publishing=False) for _ in range(3))
    leaving = depend(database, model, own, shared, done)
    depend(database, model, shared)
    left_before = depend(database, model, own)
    with database.writing() as session:
        session.execute(update(JobRow).where(JobRow.id == done).values(status="succeeded"))
        session.execute(update(JobRow).where(JobRow.id == left_before).values(status="cancelled"))
    with database.reading() as session:
        assert queue.abandoned(session, leaving, "toy") == [own]
        assert queue.abandoned(session, leaving, "reference") == []
