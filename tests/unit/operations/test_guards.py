from __future__ import annotations

import asyncio
import json

import numpy as np
import numpy.typing as npt
import pytest

from app.contract.comparing import CompareCreate
from app.contract.forgetting import ForgetRequest
from app.contract.verifying import VerifyCreate
from app.contract.versions import Version
from app.database.engine import Database
from app.database.tables import VersionRow
from app.errors import GuardNotFound, JobRunning, StorageUnavailable, VersionCorrupted, VersionGone
from app.jobs.attempt import Attempt
from app.operations.administration import housekeeping
from app.operations.comparing import compare
from app.operations.models import guards, models, versions
from app.operations.models.predict import Body, predict
from app.operations.training import publishing
from app.operations.verifying import verifications, verifying_run
from app.prediction.answers import Options
from app.prediction.client import Predictor
from app.prediction.serving import ServedVersions
from app.settings import Settings
from app.store.guards import load_guard
from app.store.manifest import GUARD
from app.store.versions import VersionStore
from tests.unit.operations.conftest import CALLER, House, copied, furnished
from tests.unit.operations.test_forget import events, states

QUICK = {"steps": 120, "hidden": 16, "refusal_budget": 0.03}


def completed(house: House, request: ForgetRequest) -> None:
    found = house.request(request.id)
    assert found.report is not None
    assert [criterion for criterion in found.report.gate if not criterion.passed] == []
    assert found.status == "completed"


@pytest.fixture(scope="session")
def _guarded(_trained: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A home in which version 2 forgot class 2 and refuses it by a guard, on SQLite."""
    house = furnished(_trained, tmp_path_factory.mktemp("guarded"))
    request = house.forget(2, refusal="guard", guard=QUICK, parameters={"utility_budget": 0.05})
    house.work()
    completed(house, request)
    return house


@pytest.fixture
def guarded(_guarded: House, database: Database, settings: Settings) -> House:
    """A house of its own with those versions."""
    return copied(_guarded, database, settings)


def version(house: House, number: int = 2) -> Version:
    with house.database.reading() as session:
        return versions.get_version(session, "digits", number)


def guard_file(house: House, number: int = 2) -> bool:
    return (house.settings.home / "models" / "digits" / str(number) / GUARD).exists()


def delete(house: House, number: int = 2) -> Version:
    return guards.delete_guard(house.database, house.settings, CALLER, "digits", number)


def test_the_guard_is_a_file_of_its_own_that_only_the_manifest_and_the_view_tell_of(guarded: House) -> None:
    found = version(guarded)
    assert found.guard is not None
    assert (found.guard.classes, found.guard.deleted_at) == ([2], None)
    assert found.manifest["guard"]["parameters"]["hidden"] == QUICK["hidden"]
    assert GUARD in found.manifest["files"]
    weights = versions.open_weights(guarded.database, guarded.settings, CALLER, "digits", 2)
    with weights.file as file:
        assert b"threshold" not in file.read()


def test_a_deleted_guard_is_gone_logged_once_and_not_there_to_be_deleted_again(guarded: House) -> None:
    found = delete(guarded)
    assert found.guard is not None
    assert found.guard.deleted_at is not None
    assert not guard_file(guarded)
    with pytest.raises(GuardNotFound):
        delete(guarded)
    with pytest.raises(GuardNotFound):
        delete(guarded, 1)
    assert events(guarded).count("guard.deleted") == 1


def test_a_guard_is_not_deleted_while_a_job_may_carry_it_on(guarded: House) -> None:
    guarded.train()
    guarded.claim()
    with pytest.raises(JobRunning):
        delete(guarded)
    assert guard_file(guarded)


@pytest.mark.parametrize("stopped_at", ["before the file is removed", "between removal and commit"])
def test_a_deletion_that_died_is_finished_by_the_next_process(
    guarded: House, monkeypatch: pytest.MonkeyPatch, stopped_at: str
) -> None:
    remove = VersionStore.remove_file

    def dies(store: VersionStore, model: str, number: int, name: str) -> None:
        if stopped_at.startswith("between"):
            remove(store, model, number, name)
        raise StorageUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(VersionStore, "remove_file", dies)
        with pytest.raises(StorageUnavailable):
            delete(guarded)
    assert "guard.deleted" not in events(guarded)
    start = publishing.begin(_claimed(guarded))
    assert start.parent is not None
    assert start.parent.guard_deleted_at is not None
    housekeeping.keep_house(guarded.database, guarded.settings)
    housekeeping.keep_house(guarded.database, guarded.settings)
    assert not guard_file(guarded)
    assert events(guarded).count("guard.deleted") == 1


def _claimed(house: House) -> Attempt:
    house.train()
    return house.claim()


def test_the_next_version_carries_the_guard_on_and_the_quarantined_one_loses_it(guarded: House) -> None:
    guarded.train()
    guarded.work()
    assert guard_file(guarded, 2)
    assert guard_file(guarded, 3)
    request = guarded.forget(5, refusal="none", parameters={"utility_budget": 0.05})
    guarded.work()
    completed(guarded, request)
    assert states(guarded)[3] == "quarantined"
    assert [guard_file(guarded, number) for number in (2, 3, 4)] == [False, False, True]
    carried = version(guarded, 4).guard
    assert carried is not None
    assert carried.classes == [2]
    assert events(guarded).count("guard.deleted") == 2


def test_nobody_expects_of_a_deleted_guard_that_it_refuses(guarded: House) -> None:
    delete(guarded)
    body = VerifyCreate(depth="fast", reference="none")
    with guarded.database.writing() as session:
        asked = verifications.submit(session, CALLER, "digits", 2, body)
    guarded.work()
    with guarded.database.reading() as session:
        found = verifications.get(session, asked.id)
    assert found.report is not None
    assert "refused" not in {criterion.name for criterion in found.report.criteria}
    assert found.verdict == "passed"


def test_what_was_deleted_is_not_carried_on(guarded: House) -> None:
    delete(guarded)
    guarded.train()
    guarded.work()
    assert version(guarded, 3).guard is None
    assert not guard_file(guarded, 3)


def test_a_purge_destroys_the_guard_with_the_weights(guarded: House) -> None:
    guarded.train()
    guarded.work()
    versions.purge_version(guarded.database, guarded.settings, CALLER, "digits", 2)
    assert not guard_file(guarded)
    housekeeping.keep_house(guarded.database, guarded.settings)
    assert events(guarded).count("guard.deleted") == 1


def test_a_guard_that_is_deleted_while_a_job_loads_it_is_no_corruption(guarded: House) -> None:
    """Of a job that publishes nothing, which no deletion waits for."""
    with guarded.database.writing() as session:
        compare.submit(session, CALLER, "digits", CompareCreate.model_validate({"target": {"classes": [5]}}))
        verifications.submit(session, CALLER, "digits", 2, VerifyCreate(depth="fast", reference="none"))
    comparing, verifying = guarded.claim(), guarded.claim()
    start = publishing.begin(comparing)
    with guarded.database.reading() as session:
        case = verifying_run._case(session, verifying)
    assert verifying_run._guard(case) is not None
    delete(guarded)
    parent = publishing.load_parent(start)
    assert parent is not None
    assert parent.guard is None
    assert verifying_run._guard(case) is None
    assert "version.corrupted" not in events(guarded)


def test_a_version_that_is_purged_while_a_job_loads_it_is_no_corruption(guarded: House) -> None:
    with guarded.database.writing() as session:
        compare.submit(session, CALLER, "digits", CompareCreate.model_validate({"target": {"classes": [5]}}))
    comparing = guarded.claim()
    start = publishing.begin(comparing)
    models.delete_model(guarded.database, guarded.settings, CALLER, "digits")
    with pytest.raises(VersionGone):
        publishing.load_parent(start)
    assert "version.corrupted" not in events(guarded)


def test_a_damaged_guard_is_refused_by_name(guarded: House) -> None:
    folder = guarded.settings.home / "models" / "digits" / "2"
    content = bytearray((folder / GUARD).read_bytes())
    content[-1] ^= 1
    (folder / GUARD).write_bytes(content)
    with guarded.database.reading() as session:
        row = session.query(VersionRow).filter_by(number=2).one()
    with pytest.raises(VersionCorrupted, match=GUARD):
        load_guard(folder, row.manifest_digest)


def test_no_request_after_the_deletion_is_answered_by_the_guard(guarded: House) -> None:
    """A predictor that holds the guard in memory, and callers that never stop asking."""
    images = np.random.default_rng(0).random((40, 1, 28, 28), np.float32)

    async def ask(served: ServedVersions, predictor: Predictor) -> npt.NDArray[np.float64]:
        """What is refused, float64 [40]; which rows share a batch moves the last digits of some processors."""
        body = Body("application/json", _json(images), Options())
        answer = json.loads((await predict(served, predictor, CALLER, name="digits", number=None, body=body)).content)
        return np.array([row["p_forgotten"] for row in answer["predictions"]])

    async def scenario() -> None:
        served, predictor = ServedVersions(guarded.database), Predictor(guarded.settings.home)
        await predictor.start()
        try:
            before = await ask(served, predictor)
            load = [asyncio.create_task(ask(served, predictor)) for _ in range(20)]
            await asyncio.to_thread(delete, guarded)
            after = [await ask(served, predictor) for _ in range(3)]
            during = await asyncio.gather(*load)
        finally:
            await predictor.stop()
            served.close()
        assert all(_same(answer, after[0]) for answer in after)
        assert not np.allclose(before, after[0], atol=1e-3)
        assert all(_same(answer, before) or _same(answer, after[0]) for answer in during)

    asyncio.run(scenario())


def _same(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    return np.allclose(one, other, atol=1e-5)


def _json(images: npt.NDArray[np.float32]) -> bytes:
    return json.dumps({"inputs": images.tolist(), "probabilities": True}).encode()
