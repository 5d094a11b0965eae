from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from app.audit import log
from app.contract.forgetting import ForgetCreate, ForgetRequest
from app.database.tables import ForgetRequestRow, JobRow, TombstoneRow, VersionRow
from app.errors import (
    AlreadyForgotten,
    ClassNotFound,
    ForgetRequestNotFound,
    ForgetteryError,
    ModelNotFound,
    NoServingVersion,
    NotApplicable,
    NothingLeft,
    VersionCorrupted,
)
from app.jobs import queue
from app.jobs.queue import LostClaim
from app.operations.administration import audit, jobs
from app.operations.forgetting import forget, forgetting_run
from app.operations.handlers import HANDLERS
from app.operations.models import models, versions
from app.operations.pages import PageQuery
from app.store.manifest import WEIGHTS
from tests.unit.operations.conftest import CALLER, House

UNREACHABLE: dict[str, Any] = {"parameters": {"push_steps": 1, "refusal_budget": 0.0}}


def states(house: House) -> dict[int, str]:
    with house.database.reading() as session:
        return {
            version.number: version.state for version in versions.list_versions(session, "digits", PageQuery()).items
        }


def events(house: House) -> list[str]:
    with house.database.reading() as session:
        return [event.event for event in audit.list_events(session, PageQuery()).items]


def log_holds(house: House) -> bool:
    with house.database.reading() as session:
        return log.verify(session).ok


@pytest.mark.slow
def test_the_default_request_passes_the_gate(house: House) -> None:
    request = house.forget(2)
    house.work()
    assert house.request(request.id).verdict == "passed"


def test_a_completed_request_serves_a_new_version_and_quarantines_every_older_one(house: House) -> None:
    request = house.forget(2, refusal="calibrate")
    house.work()
    done = house.request(request.id)
    assert (done.status, done.verdict, done.claim, done.parent_version, done.version) == (
        "completed",
        "passed",
        "edited",
        1,
        2,
    )
    assert states(house) == {1: "quarantined", 2: "available"}
    with house.database.reading() as session:
        model = models.get_model(session, "digits")
    assert model.serving_version == 2
    assert model.forgotten.classes == [2]
    assert events(house)[5:] == [
        "forget.requested",
        "forget.started",
        "version.quarantined",
        "version.published",
        "serving.moved",
        "verification.completed",
        "forget.completed",
    ]
    assert log_holds(house)


def test_the_report_compares_the_same_sets_before_and_after(house: House) -> None:
    request = house.forget(2, refusal="calibrate")
    house.work()
    report = house.request(request.id).report
    assert report is not None
    assert report.before.forget_accuracy is not None
    assert report.before.forget_accuracy > 0.8
    assert report.after.forget_accuracy == 0.0
    assert report.before.refusal_rate == 0.0
    assert set(report.after.refusal_by_class) == {"2"}
    assert report.weights_changed["head.weight"] > 0
    assert all(criterion.passed for criterion in report.gate)
    assert report.settings["refusal"] == "calibrate"
    assert report.seconds["method"] > 0


def test_a_missed_gate_publishes_nothing_and_the_parent_serves_on(house: House) -> None:
    request = house.forget(2, **UNREACHABLE)
    house.work()
    done = house.request(request.id)
    assert (done.status, done.verdict, done.claim, done.version) == ("failed", "failed", None, None)
    assert done.report is not None
    assert not all(criterion.passed for criterion in done.report.gate)
    assert done.job.status == "succeeded"
    assert states(house) == {1: "available"}
    with house.database.reading() as session:
        assert models.get_model(session, "digits").serving_version == 1
        assert models.get_model(session, "digits").forgotten.classes == []
    assert events(house)[-1] == "forget.failed"
    assert not list((house.settings.home / "models" / "digits").glob("2"))


def test_a_class_whose_request_failed_can_be_asked_for_again(house: House) -> None:
    house.forget(2, **UNREACHABLE)
    house.work()
    house.forget(2, refusal="none")


def test_requests_stack_each_on_top_of_the_last(house: House) -> None:
    first, second = house.forget(2, refusal="calibrate"), house.forget(5, refusal="calibrate")
    house.work()
    house.work()
    assert house.request(first.id).version == 2
    done = house.request(second.id)
    assert (done.parent_version, done.version) == (2, 3)
    assert done.report is not None
    assert set(done.report.after.refusal_by_class) == {"2", "5"}
    assert states(house) == {1: "quarantined", 2: "quarantined", 3: "available"}


def test_retention_of_zero_days_destroys_the_weights_at_once(house: House) -> None:
    eager = house.changed(retention_days=0)
    eager.forget(2, refusal="none")
    eager.work()
    assert states(house) == {1: "purged", 2: "available"}
    folder = house.settings.home / "models" / "digits" / "1"
    assert not (folder / WEIGHTS).exists()
    assert (folder / "manifest.json").exists()
    assert events(house)[-1] == "version.purged"


def test_a_lost_claim_publishes_nothing(house: House) -> None:
    request = house.forget(2, refusal="none")
    stale = house.claim()
    endings = {kind: handler.ended for kind, handler in HANDLERS.items()}
    with house.database.writing() as session:
        queue.release(session, stale.claim, endings)
    fresh = house.claim()
    with pytest.raises(LostClaim):
        HANDLERS["forget"].run(stale)
    assert states(house) == {1: "available"}
    HANDLERS["forget"].run(fresh)
    assert house.request(request.id).version == 2
    assert states(house) == {1: "quarantined", 2: "available"}


def test_a_crash_before_the_commit_leaves_an_orphan_that_the_next_attempt_replaces(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.forget(2, refusal="none")
    attempt = house.claim()

    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("the power failed")

    with monkeypatch.context() as patched:
        patched.setattr(forgetting_run, "_complete", crash)
        with pytest.raises(RuntimeError, match="power"):
            forgetting_run.run(attempt)
    assert states(house) == {1: "available"}
    assert (house.settings.home / "models" / "digits" / "2").exists()
    forgetting_run.run(attempt)
    assert states(house) == {1: "quarantined", 2: "available"}
    assert log_holds(house)


def test_tombstones_name_the_request_that_set_them(house: House) -> None:
    request = house.forget(2, 7, refusal="none")
    house.work()
    with house.database.reading() as session:
        rows = session.scalars(select(TombstoneRow).order_by(TombstoneRow.item)).all()
    assert [(row.kind, row.item, row.forget_request_id) for row in rows] == [
        ("class", 2, request.id),
        ("class", 7, request.id),
    ]


def test_a_parent_that_is_corrupted_fails_the_job_and_is_logged(house: House) -> None:
    house.forget(2, refusal="none")
    weights = house.settings.home / "models" / "digits" / "1" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(VersionCorrupted):
        house.work()
    assert events(house)[-1] == "version.corrupted"
    with house.database.reading() as session:
        row = session.scalars(select(VersionRow)).one()
    assert row.corrupted_at is not None


def test_requests_of_several_threads_at_once_all_stack_and_one_class_is_forgotten_once(house: House) -> None:
    def ask(number: int) -> str:
        try:
            return str(house.forget(number, refusal="none").status)
        except AlreadyForgotten:
            return "refused"

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, [2, 2, 2, 3, 4, 5]))
    assert sorted(answers) == ["queued"] * 4 + ["refused"] * 2


def test_a_cancelled_job_cancels_its_request(house: House) -> None:
    request = house.forget(2)
    with house.database.writing() as session:
        jobs.cancel_job(session, CALLER, request.job.id)
    done = house.request(request.id)
    assert (done.status, done.verdict, done.job.status) == ("cancelled", None, "cancelled")
    assert done.completed_at is not None
    assert events(house)[-1] == "forget.cancelled"


def pushed_by(house: House, request: ForgetRequest) -> None:
    """As if the request had chosen `push`, which takes longer, and had not been refused for it."""
    with house.database.writing() as session:
        session.get_one(ForgetRequestRow, request.id).refusal = "push"


def test_a_class_once_pushed_that_the_next_request_would_refuse_no_more_is_named_before_and_after(house: House) -> None:
    first = house.forget(2, refusal="calibrate")
    house.work()
    pushed_by(house, first)
    with house.database.reading() as session:
        plans = {
            refusal: forget.plan(
                session, "digits", ForgetCreate.model_validate({"target": {"classes": [5]}, "refusal": refusal})
            )
            for refusal in ("calibrate", "push")
        }
    assert plans["push"].warnings == []
    (warning,) = plans["calibrate"].warnings
    assert "classes 2" in warning
    second = house.forget(5, refusal="calibrate")
    house.work()
    done = house.request(second.id)
    assert (done.status, done.verdict) == ("failed", "failed")
    assert done.job.result is not None
    assert done.job.result["missed"] == ["refusal_kept_of_class_2"]
    assert states(house) == {1: "quarantined", 2: "available"}


def test_a_dry_run_says_what_would_happen_and_changes_nothing(house: House) -> None:
    before = events(house)
    body = ForgetCreate.model_validate({"target": {"classes": [2]}})
    with house.database.reading() as session:
        plan = forget.plan(session, "digits", body)
    assert (plan.parent_version, plan.quarantined_versions, plan.claim) == (1, [1], "edited")
    assert plan.num_forget is not None
    assert plan.num_retain is not None
    assert plan.num_forget + plan.num_retain == 55_000
    assert plan.expected_seconds is not None
    assert plan.expected_seconds > 0
    assert events(house) == before
    with house.database.reading() as session:
        assert len(session.scalars(select(JobRow)).all()) == 1


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ({"classes": [10]}, ClassNotFound),
        ({"classes": list(range(10))}, NothingLeft),
        ({"tasks": [0]}, NotApplicable),
    ],
)
def test_what_cannot_be_forgotten_is_refused_at_once(
    house: House, target: dict[str, Any], error: type[ForgetteryError]
) -> None:
    body = ForgetCreate.model_validate({"target": target})
    with pytest.raises(error), house.database.writing() as session:
        forget.submit(session, CALLER, "digits", body)
    with house.database.reading() as session:
        assert len(session.scalars(select(JobRow)).all()) == 1


def test_queued_requests_count_as_forgotten(house: House) -> None:
    house.forget(2)
    with pytest.raises(AlreadyForgotten, match="2"):
        house.forget(2, 3)
    house.forget(0, 1, 3, 4, 5, 6, 7, 8)
    with pytest.raises(NothingLeft):
        house.forget(9)


def test_repeated_classes_are_refused_as_repeated_samples_are(house: House) -> None:
    with pytest.raises(ValidationError, match="each once"):
        house.forget(2, 2)


def test_a_request_may_wait_for_the_first_training_but_not_for_one_that_failed(house: House) -> None:
    job = house.create(name="later")
    body = ForgetCreate.model_validate({"target": {"classes": [2]}})
    with house.database.writing() as session:
        forget.submit(session, CALLER, "later", body)
    with house.database.writing() as session:
        jobs.cancel_job(session, CALLER, job.id)
        jobs.cancel_job(session, CALLER, session.scalars(select(JobRow.id).where(JobRow.status == "queued")).one())
    with pytest.raises(NoServingVersion), house.database.writing() as session:
        forget.submit(session, CALLER, "later", body)


@pytest.mark.parametrize(
    ("look", "error"),
    [
        (lambda session: forget.get_forget_request(session, uuid4()), ForgetRequestNotFound),
        (
            lambda session: forget.plan(session, "nobody", ForgetCreate.model_validate({"target": {"classes": [1]}})),
            ModelNotFound,
        ),
    ],
)
def test_what_is_not_there_is_said_so(house: House, look: Callable[[Any], Any], error: type[ForgetteryError]) -> None:
    with house.database.reading() as session, pytest.raises(error):
        look(session)


def test_requests_are_listed_oldest_first_by_model_and_status(house: House) -> None:
    first, second = house.forget(2), house.forget(3)
    with house.database.reading() as session:
        page = forget.list_forget_requests(session, PageQuery(limit=1), model="digits", status="queued")
        rest = forget.list_forget_requests(
            session, PageQuery(limit=1, token=page.next_page_token), model="digits", status="queued"
        )
        none = forget.list_forget_requests(session, PageQuery(), status="completed")
    assert [item.id for item in page.items + rest.items] == [first.id, second.id]
    assert rest.next_page_token is None
    assert none.items == []
