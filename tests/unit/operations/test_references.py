from __future__ import annotations

import shutil
from typing import Any

import pytest
from sqlalchemy import select

from app.contract.forgetting import ForgetRequest
from app.contract.verifying import VerifyCreate
from app.database.tables import JobRow, ReferenceRow
from app.errors import AttemptsExhausted, VersionGone
from app.jobs import queue
from app.jobs.handler import endings
from app.operations.administration import housekeeping, jobs
from app.operations.handlers import HANDLERS
from app.operations.models import models
from app.operations.verifying import reference_files, verifications
from app.store.manifest import WEIGHTS
from tests.unit.operations.conftest import CALLER, House

EUK: dict[str, Any] = {
    "method": "euk",
    "refusal": "calibrate",
    "parameters": {"layers": 1, "steps": 60},
    "num_references": 1,
}


def next_kinds(house: House) -> list[str]:
    with house.database.reading() as session:
        return list(session.scalars(select(JobRow.kind).where(JobRow.status == "queued").order_by(JobRow.sequence)))


def rows(house: House) -> list[ReferenceRow]:
    with house.database.reading() as session:
        return list(session.scalars(select(ReferenceRow).order_by(ReferenceRow.number)))


def fail_next(house: House) -> None:
    """Let the next job fail as one does whose attempts keep dying."""
    attempt = house.claim()
    with house.database.writing() as session:
        queue.fail(session, attempt.claim, AttemptsExhausted("it died"), endings(HANDLERS))


def report_of(house: House, request: ForgetRequest) -> Any:
    found = house.request(request.id)
    assert found.report is not None
    assert found.report.verification is not None
    return found.report.verification


def test_a_request_waits_for_its_references_and_is_judged_by_them(house: House) -> None:
    request = house.forget(2, **(EUK | {"num_references": 3}))
    assert next_kinds(house) == ["reference", "reference", "reference", "forget"]
    for _ in range(4):
        house.work()
    assert [row.seed for row in rows(house)] == report_of(house, request).references == [1, 2, 3]
    done = house.request(request.id)
    assert done.verification is not None
    assert done.verdict in ("passed", "failed")


def test_a_reference_never_sees_what_is_forgotten_by_then(house: House) -> None:
    house.forget(3, refusal="calibrate")
    house.forget(2, **EUK)
    kinds = []
    while next_kinds(house):
        attempt = house.claim()
        kinds.append(attempt.kind)
        HANDLERS[attempt.kind].run(attempt)
    assert kinds == ["forget", "reference", "forget"]
    (row,) = rows(house)
    manifest = reference_files.store_of(house.settings).read_manifest("digits", row.number)
    assert manifest.forgotten.classes == [2, 3]
    assert manifest.metrics.per_class_accuracy[2] == manifest.metrics.per_class_accuracy[3] == 0.0


def test_what_was_retrained_for_the_same_before_is_not_retrained(house: House) -> None:
    house.forget(2, **EUK)
    house.work()
    with house.database.writing() as session:
        forget_job = session.scalars(select(JobRow.id).where(JobRow.kind == "forget")).one()
        queue.request_cancel(session, forget_job, endings(HANDLERS))
    request = house.forget(2, **EUK)
    house.work()
    with house.database.reading() as session:
        last = session.scalars(
            select(JobRow).where(JobRow.kind == "reference").order_by(JobRow.sequence.desc())
        ).first()
        assert last is not None
        assert last.result is not None
        assert last.result["cached"] is True
    assert len(rows(house)) == 1
    house.work()
    assert report_of(house, request).references == [1]
    assert str(request.id) in rows(house)[0].forget_requests


def test_cached_uses_what_there_is_and_trains_nothing(house: House) -> None:
    request = house.forget(2, **EUK, reference="cached")
    assert next_kinds(house) == ["forget"]
    house.work()
    done = house.request(request.id)
    assert report_of(house, request).references == []
    assert (done.verdict, done.claim) == ("inconclusive", "edited")


def test_a_request_waits_for_three_where_it_does_not_say_how_many(house: House) -> None:
    euk = {name: value for name, value in EUK.items() if name != "num_references"}
    request = house.forget(2, **euk)
    assert next_kinds(house) == ["reference"] * 3 + ["forget"]
    while next_kinds(house):
        house.work()
    found = report_of(house, request)
    assert found.references == [1, 2, 3]
    assert found.control.num_with_power > 0


def test_references_that_are_lost_in_the_middle_of_a_request_leave_the_verdict_inconclusive(house: House) -> None:
    """Two of three, the first of which fails and the second of which is destroyed after it was trained."""
    request = house.forget(2, **(EUK | {"num_references": 3}))
    fail_next(house)
    house.work()
    house.work()
    shutil.rmtree(reference_files.store_of(house.settings).folder("digits", rows(house)[0].number))
    house.work()
    done = house.request(request.id)
    assert (done.status, done.verdict, done.claim, done.sought) == (
        "completed",
        "inconclusive",
        "edited",
        "approximate",
    )
    assert "reference" in {missed.name for missed in done.missed_for_sought}
    assert report_of(house, request).references == [3]


def test_a_reference_that_fails_leaves_the_verdict_inconclusive(house: House) -> None:
    request = house.forget(2, **EUK)
    fail_next(house)
    house.work()
    done = house.request(request.id)
    assert (done.status, done.verdict, done.claim) == ("completed", "inconclusive", "edited")


def test_a_reference_that_is_cancelled_leaves_the_verdict_inconclusive(house: House) -> None:
    request = house.forget(2, **EUK)
    with house.database.writing() as session:
        reference = session.scalars(select(JobRow.id).where(JobRow.kind == "reference")).one()
        jobs.cancel_job(session, CALLER, reference)
    house.work()
    assert house.request(request.id).verdict == "inconclusive"


def test_a_damaged_reference_is_left_out_and_trained_anew_for_the_next(house: House) -> None:
    request = house.forget(2, **EUK)
    house.work()
    path = reference_files.store_of(house.settings).folder("digits", rows(house)[0].number) / WEIGHTS
    path.write_bytes(b"damaged")
    house.work()
    assert house.request(request.id).verdict == "inconclusive"


def test_cancelling_a_request_cancels_the_references_that_nobody_else_waits_for(house: House) -> None:
    request = house.forget(2, **EUK)
    with house.database.writing() as session:
        jobs.cancel_job(session, CALLER, house.request(request.id).job.id)
    assert next_kinds(house) == []


def test_requests_queued_behind_each_other_get_through_one_job_at_a_time(house: House) -> None:
    requests = [house.forget(number, **EUK) for number in (2, 3)]
    while next_kinds(house):
        house.work()
    assert [report_of(house, request).references for request in requests] == [[1], [1]]
    assert len({row.key for row in rows(house)}) == 2


def test_one_that_knows_what_was_forgotten_later_is_purged_with_the_versions(house: House) -> None:
    house.forget(2, **EUK)
    house.work()
    house.work()
    at_once = house.changed(retention_days=0)
    housekeeping.keep_house(at_once.database, at_once.settings)
    assert [row.state for row in rows(house)] == ["available"]
    house.forget(3, refusal="calibrate")
    house.work()
    housekeeping.keep_house(house.database, house.settings)
    assert [row.state for row in rows(house)] == ["available"]
    housekeeping.keep_house(at_once.database, at_once.settings)
    assert [row.state for row in rows(house)] == ["purged"]
    folder = reference_files.store_of(house.settings).folder("digits", rows(house)[0].number)
    assert not (folder / WEIGHTS).exists()


def test_without_retention_they_are_purged_by_the_request_that_they_know_of(house: House) -> None:
    house.forget(2, **EUK)
    house.work()
    house.work()
    at_once = house.changed(retention_days=0)
    at_once.forget(3, refusal="calibrate")
    at_once.work()
    assert [row.state for row in rows(house)] == ["purged"]


def test_nothing_is_trained_like_a_version_after_more_was_forgotten(house: House) -> None:
    house.forget(2, refusal="calibrate")
    house.work()
    with house.database.writing() as session:
        verifications.submit(session, CALLER, "digits", 2, VerifyCreate(depth="fast", num_references=1))
    waiting = house.claim()
    house.forget(3, refusal="calibrate")
    house.work()
    with pytest.raises(VersionGone):
        HANDLERS[waiting.kind].run(waiting)
    assert rows(house) == []


def test_deleting_the_model_destroys_its_references(house: House) -> None:
    house.forget(2, **EUK)
    house.work()
    house.work()
    folder = reference_files.store_of(house.settings).folder("digits", rows(house)[0].number)
    assert (folder / WEIGHTS).exists()
    models.delete_model(house.database, house.settings, CALLER, "digits")
    assert [row.state for row in rows(house)] == ["purged"]
    assert not (folder / WEIGHTS).exists()


def test_housekeeping_leaves_references_that_are_known(house: House) -> None:
    house.forget(2, **EUK)
    house.work()
    housekeeping.keep_house(house.database, house.settings)
    folder = reference_files.store_of(house.settings).folder("digits", rows(house)[0].number)
    assert (folder / WEIGHTS).exists()


def test_references_leave_no_trace_among_the_versions(house: House) -> None:
    house.forget(2, **EUK)
    house.work()
    assert {path.name for path in (house.settings.home / "models" / "digits").iterdir()} == {"1"}
    assert not list((house.settings.home / "staging").iterdir())
