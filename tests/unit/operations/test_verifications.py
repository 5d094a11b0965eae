from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.contract.comparing import CompareCreate
from app.contract.verifying import Verification, VerifyCreate
from app.database.engine import Database
from app.database.tables import ForgetRequestRow, JobRow
from app.datasets.loading import load
from app.errors import (
    AttemptsExhausted,
    ForgetRequestNotFound,
    NothingForgotten,
    VerificationNotFound,
    VerificationPending,
    VersionGone,
    VersionNotFound,
)
from app.jobs import queue
from app.jobs.handler import endings
from app.operations.administration import audit, jobs
from app.operations.comparing import compare
from app.operations.handlers import HANDLERS
from app.operations.models import models, versions
from app.operations.pages import PageQuery
from app.operations.verifying import verifications, verifying_run
from app.settings import Settings
from tests.unit.operations.conftest import CALLER, House, copied, furnished

FAST: dict[str, Any] = {"depth": "fast", "reference": "none"}


def verify(house: House, number: int, **body: Any) -> Verification:
    with house.database.writing() as session:
        return verifications.submit(session, CALLER, "digits", number, VerifyCreate.model_validate(body))


def look(house: House, verification_id: UUID) -> Verification:
    with house.database.reading() as session:
        return verifications.get(session, verification_id)


def listed(house: House, **filters: Any) -> list[Verification]:
    with house.database.reading() as session:
        return verifications.list_verifications(session, PageQuery(), **filters).items


def work_all(house: House) -> None:
    while True:
        with house.database.reading() as session:
            if not queue.claimable(session, HANDLERS.keys()):
                return
        house.work()


def purge(house: House, number: int) -> None:
    versions.purge_version(house.database, house.settings, CALLER, "digits", number)


@pytest.fixture(scope="module")
def _forgotten(_trained: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Version 2 has forgotten class 2."""
    house = furnished(_trained, tmp_path_factory.mktemp("forgotten"))
    house.forget(2, refusal="calibrate")
    house.work()
    return house


@pytest.fixture
def forgotten(_forgotten: House, database: Database, settings: Settings) -> House:
    """A house of its own with those versions."""
    return copied(_forgotten, database, settings)


def test_every_forget_request_leaves_a_verification(forgotten: House) -> None:
    (found,) = listed(forgotten)
    assert (found.version, found.depth, found.status, found.job.kind) == (2, "fast", "completed", "forget")
    assert found.report is not None
    assert (found.verdict, found.claim) == (found.report.verdict, found.report.claim)
    assert forgotten.request(found.forget_request).verification == found.id
    with forgotten.database.reading() as session:
        (event,) = audit.list_events(session, PageQuery(), event="verification.completed").items
        version = versions.get_version(session, "digits", 2)
    assert event.details["digest"] == found.digest == version.digest
    assert event.details["parameters"] == f"sha256:{found.report.digest}"
    assert (event.version, event.forget_request) == (2, found.forget_request)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_deep_verification_holds_original_and_retrained_models_against_each_other(forgotten: House) -> None:
    asked = verify(forgotten, 2)
    assert (asked.status, asked.report, asked.job.kind) == ("queued", None, "verify")
    work_all(forgotten)
    found = look(forgotten, asked.id)
    assert found.status == "completed"
    assert found.report is not None
    assert found.report.references == [1, 2, 3]
    assert found.report.control.original_fails is True
    assert set(found.report.control.retrained_pass) == {"1", "2", "3"}
    with forgotten.database.reading() as session:
        assert versions.get_version(session, "digits", 2).claim == "edited"


def test_without_the_original_there_is_no_control_and_the_verdict_is_inconclusive(forgotten: House) -> None:
    purge(forgotten, 1)
    asked = verify(forgotten, 2, depth="deep", reference="none")
    forgotten.work()
    found = look(forgotten, asked.id)
    assert found.report is not None
    assert found.report.control.original_fails is None
    assert found.verdict == "inconclusive"
    changed = next(each for each in found.report.criteria if each.name == "changed")
    assert changed.passed is True


@pytest.mark.parametrize(("fitted", "sought"), [("calibrate", "approximate"), ("push", "edited")])
def test_no_more_is_sought_than_the_refusal_that_was_fitted_leaves(forgotten: House, fitted: str, sought: str) -> None:
    """Of samples none is asked for, but classes once pushed are pushed again."""
    with forgotten.database.writing() as session:
        request = session.scalars(select(ForgetRequestRow)).one()
        assert request.report is not None
        request.method, request.refusal, request.parameters = "retrain", "none", {}
        request.report = request.report | {"settings": request.report["settings"] | {"refusal": fitted}}
    verify(forgotten, 2, **FAST)
    attempt = forgotten.claim()
    with forgotten.database.reading() as session:
        case = replace(verifying_run._case(session, attempt), recorded=None)
    model = verifying_run._load(case, case.version)
    assert model is not None
    data = load("mnist", forgotten.settings).dataset
    partition = case.forgotten.partition(data, model.learned_classes)
    assert verifying_run._sought(case, model, partition, None).claim == sought


def test_what_was_forgotten_earlier_can_be_verified_of_a_later_version(forgotten: House) -> None:
    first = listed(forgotten)[0].forget_request
    forgotten.forget(3, refusal="calibrate")
    forgotten.work()
    asked = verify(forgotten, 3, forget_request=first, **FAST)
    latest = verify(forgotten, 3, **FAST)
    work_all(forgotten)
    for verification, classes in ((asked, [2]), (latest, [3])):
        report = look(forgotten, verification.id).report
        assert report is not None
        assert report.forget_classes == classes


def test_only_an_available_version_that_forgot_can_be_verified(forgotten: House) -> None:
    with pytest.raises(VersionGone):
        verify(forgotten, 1)
    purge(forgotten, 1)
    with pytest.raises(VersionGone):
        verify(forgotten, 1)
    with pytest.raises(VersionNotFound):
        verify(forgotten, 3)
    with pytest.raises(ForgetRequestNotFound):
        verify(forgotten, 2, forget_request=uuid4())
    with pytest.raises(VerificationNotFound):
        look(forgotten, uuid4())


def test_a_version_that_forgot_nothing_has_nothing_to_verify(house: House) -> None:
    with pytest.raises(NothingForgotten):
        verify(house, 1)


def test_a_version_quarantined_meanwhile_is_verified_a_purged_one_is_not(forgotten: House) -> None:
    first, second = verify(forgotten, 2, **FAST), verify(forgotten, 2, **FAST)
    waiting = [forgotten.claim(), forgotten.claim()]
    forgotten.forget(3, refusal="calibrate")
    forgotten.work()
    HANDLERS["verify"].run(waiting[0])
    assert look(forgotten, first.id).status == "completed"
    purge(forgotten, 2)
    with pytest.raises(VersionGone):
        HANDLERS["verify"].run(waiting[1])
    assert look(forgotten, second.id).report is None


def test_a_verification_that_fails_has_found_nothing(forgotten: House) -> None:
    asked = verify(forgotten, 2, **FAST)
    attempt = forgotten.claim()
    with forgotten.database.writing() as session:
        queue.fail(session, attempt.claim, AttemptsExhausted("it died"), endings(HANDLERS))
    found = look(forgotten, asked.id)
    assert (found.status, found.verdict, found.report, found.completed_at) == ("failed", None, None, None)


def test_cancelling_a_verification_cancels_its_references(forgotten: House) -> None:
    asked = verify(forgotten, 2)
    with forgotten.database.writing() as session:
        jobs.cancel_job(session, CALLER, asked.job.id)
    assert look(forgotten, asked.id).status == "cancelled"
    with forgotten.database.reading() as session:
        assert not queue.claimable(session, HANDLERS.keys())


def test_verifications_are_listed_by_what_they_are_about(forgotten: House) -> None:
    asked = verify(forgotten, 2, **(FAST | {"depth": "deep"}))
    request = asked.forget_request
    assert [found.depth for found in listed(forgotten, model="digits", version=2)] == ["fast", "deep"]
    assert [found.id for found in listed(forgotten, depth="deep", forget_request=request)] == [asked.id]
    assert listed(forgotten, version=1) == listed(forgotten, model="nobody") == []


def test_a_verification_before_purge_holds_the_original_until_it_has_ended(house: House) -> None:
    careful = house.changed(verify_before_purge=True, retention_days=0)
    careful.forget(2, refusal="calibrate")
    careful.work()
    deep = listed(careful, depth="deep")[0]
    assert (deep.version, deep.status) == (2, "queued")
    with careful.database.reading() as session:
        assert versions.get_version(session, "digits", 1).state == "quarantined"
    versions.purge_expired(careful.database, careful.settings)
    with pytest.raises(VerificationPending):
        purge(careful, 1)
    with careful.database.writing() as session:
        jobs.cancel_job(session, CALLER, deep.job.id)
    versions.purge_expired(careful.database, careful.settings)
    with careful.database.reading() as session:
        assert versions.get_version(session, "digits", 1).state == "purged"


def test_deleting_a_model_waits_for_no_verification(house: House) -> None:
    careful = house.changed(verify_before_purge=True)
    careful.forget(2, refusal="calibrate")
    careful.work()
    models.delete_model(careful.database, careful.settings, CALLER, "digits")
    assert {found.depth: found.status for found in listed(careful)} == {"fast": "completed", "deep": "cancelled"}
    with careful.database.reading() as session:
        assert set(session.scalars(select(JobRow.status).where(JobRow.kind == "reference"))) == {"cancelled"}
    assert not (careful.settings.home / "models" / "digits" / "1" / "model.safetensors").exists()


def test_deleting_a_model_cancels_what_compares_methods_on_it(house: House) -> None:
    body = CompareCreate.model_validate({"target": {"classes": [5]}})
    with house.database.writing() as session:
        waiting, running = (compare.submit(session, CALLER, "digits", body) for _ in range(2))
    attempt = house.claim()
    models.delete_model(house.database, house.settings, CALLER, "digits")
    with house.database.reading() as session:
        assert queue.standing(session, attempt.claim) == "cancel"
        ended = [jobs.get_job(session, job.id).status for job in (waiting, running)]
    assert sorted(ended) == ["cancelled", "running"]
