from __future__ import annotations

import errno
import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.database.engine import Database, database_now
from app.database.tables import IdempotencyRow, VersionRow
from app.errors import (
    JobRunning,
    ModelExists,
    ModelGone,
    VersionCorrupted,
    VersionGone,
    VersionRemembers,
    VersionServing,
)
from app.files import remove
from app.operations.administration import housekeeping
from app.operations.models import models, versions
from app.operations.pages import PageQuery
from app.settings import Settings
from app.store.manifest import WEIGHTS
from tests.unit.operations.conftest import CALLER, House, copied, furnished
from tests.unit.operations.test_forget import events, log_holds, states


def weights_of(house: House, number: int) -> bool:
    return (house.settings.home / "models" / "digits" / str(number) / WEIGHTS).exists()


@pytest.fixture(scope="module")
def _forgetful(_trained: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Version 1 remembers class 2 and is quarantined, version 2 serves."""
    house = furnished(_trained, tmp_path_factory.mktemp("forgetful"))
    house.forget(2, refusal="none")
    house.work()
    return house


@pytest.fixture
def forgetful(_forgetful: House, database: Database, settings: Settings) -> House:
    """A house of its own with those versions."""
    return copied(_forgetful, database, settings)


def test_a_version_that_remembers_can_never_serve_again(forgetful: House) -> None:
    with pytest.raises(VersionRemembers), forgetful.database.writing() as session:
        versions.set_serving(session, CALLER, "digits", 1)


def test_the_pointer_moves_to_an_available_version_and_back(house: House) -> None:
    house.train(serve=False)
    house.work()
    with house.database.writing() as session:
        assert versions.set_serving(session, CALLER, "digits", 2).serving_version == 2
    with house.database.writing() as session:
        versions.set_serving(session, CALLER, "digits", 2)
    assert events(house).count("serving.moved") == 2


def test_the_pointer_stays_while_a_publishing_job_runs(house: House) -> None:
    house.train(serve=False)
    house.work()
    house.train()
    house.claim()
    with pytest.raises(JobRunning), house.database.writing() as session:
        versions.set_serving(session, CALLER, "digits", 2)


def test_weights_are_given_out_with_their_digest_until_they_are_quarantined(forgetful: House) -> None:
    weights = versions.open_weights(forgetful.database, forgetful.settings, CALLER, "digits", 2)
    with weights.file as file:
        content = file.read()
    assert len(content) == weights.num_bytes
    assert weights.digest == "sha256:" + hashlib.sha256(content).hexdigest()
    with forgetful.database.reading() as session:
        assert weights.digest == versions.get_version(session, "digits", 2).digest
    with pytest.raises(VersionGone):
        versions.open_weights(forgetful.database, forgetful.settings, CALLER, "digits", 1)


def test_a_purge_in_the_middle_of_a_download_is_no_corruption(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.train()
    house.work()
    look = versions._available

    def purged_after_the_look(*arguments: Any) -> VersionRow:
        found = look(*arguments)
        monkeypatch.setattr(versions, "_available", look)
        versions.purge_version(house.database, house.settings, CALLER, "digits", 1)
        return found

    monkeypatch.setattr(versions, "_available", purged_after_the_look)
    with pytest.raises(VersionGone):
        versions.open_weights(house.database, house.settings, CALLER, "digits", 1)
    assert "version.corrupted" not in events(house)


def test_one_version_that_cannot_be_purged_keeps_no_other_from_it(
    forgetful: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful.forget(3, refusal="none")
    forgetful.work()
    first = forgetful.settings.home / "models" / "digits" / "1"

    def refuse_first(path: Path) -> None:  # as a file system does that went read-only: root may remove anything else
        if path.parent == first:
            raise OSError(errno.EROFS, "read-only", str(path))
        remove(path)

    monkeypatch.setattr("app.store.versions.remove", refuse_first)
    housekeeping.keep_house(forgetful.database, forgetful.settings.model_copy(update={"retention_days": 0}))
    assert states(forgetful) == {1: "quarantined", 2: "purged", 3: "available"}


def test_two_purges_of_one_version_at_once_both_succeed_and_are_logged_once(forgetful: House) -> None:
    with ThreadPoolExecutor(4) as pool:
        purges = [
            pool.submit(versions.purge_version, forgetful.database, forgetful.settings, CALLER, "digits", 1)
            for _ in range(4)
        ]
    assert [purge.result().state for purge in purges] == ["purged"] * 4
    assert events(forgetful).count("version.purged") == 1


def test_a_corrupted_download_is_refused_and_logged_once(house: House) -> None:
    path = house.settings.home / "models" / "digits" / "1" / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(VersionCorrupted):
            versions.open_weights(house.database, house.settings, CALLER, "digits", 1)
    assert events(house).count("version.corrupted") == 1


def test_purging_destroys_the_weights_and_keeps_manifest_and_digest(forgetful: House) -> None:
    purged = versions.purge_version(forgetful.database, forgetful.settings, CALLER, "digits", 1)
    assert purged.state == "purged"
    assert purged.digest.startswith("sha256:")
    assert not weights_of(forgetful, 1)
    versions.purge_version(forgetful.database, forgetful.settings, CALLER, "digits", 1)
    assert events(forgetful).count("version.purged") == 1
    assert log_holds(forgetful)


def test_the_serving_version_cannot_be_purged(forgetful: House) -> None:
    with pytest.raises(VersionServing):
        versions.purge_version(forgetful.database, forgetful.settings, CALLER, "digits", 2)


def test_an_available_version_is_quarantined_before_it_is_purged(house: House) -> None:
    house.train()
    house.work()
    versions.purge_version(house.database, house.settings, CALLER, "digits", 1)
    assert states(house) == {1: "purged", 2: "available"}
    assert events(house)[-2:] == ["version.quarantined", "version.purged"]


def test_a_version_that_a_waiting_job_may_build_on_is_not_purged(house: House) -> None:
    house.train(serve=False)
    house.work()
    house.train()
    with pytest.raises(JobRunning):
        versions.purge_version(house.database, house.settings, CALLER, "digits", 2)


def test_retention_ends_after_its_days_and_not_before(forgetful: House) -> None:
    housekeeping.keep_house(forgetful.database, forgetful.settings)
    assert states(forgetful)[1] == "quarantined"
    with forgetful.database.writing() as session:
        past = database_now(session) - timedelta(days=forgetful.settings.retention_days, seconds=1)
        session.execute(update(VersionRow).where(VersionRow.number == 1).values(quarantined_at=past))
    housekeeping.keep_house(forgetful.database, forgetful.settings)
    assert states(forgetful)[1] == "purged"
    assert not weights_of(forgetful, 1)


def test_deleting_a_model_destroys_all_weights_and_retires_the_name(forgetful: House) -> None:
    models.delete_model(forgetful.database, forgetful.settings, CALLER, "digits")
    assert not weights_of(forgetful, 1)
    assert not weights_of(forgetful, 2)
    with forgetful.database.reading() as session:
        with pytest.raises(ModelGone):
            models.get_model(session, "digits")
        assert models.list_models(session, PageQuery()).items == []
    with pytest.raises(ModelExists):
        forgetful.create()
    assert events(forgetful)[-4:] == ["model.deleted", "version.quarantined", "version.purged", "version.purged"]
    assert log_holds(forgetful)


def test_a_model_with_waiting_jobs_is_not_deleted(house: House) -> None:
    house.train()
    with pytest.raises(JobRunning):
        models.delete_model(house.database, house.settings, CALLER, "digits")


def test_a_deletion_cut_short_is_finished_by_housekeeping(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(versions, "purge_all", lambda *_, **__: None)
        models.delete_model(house.database, house.settings, CALLER, "digits")
    assert weights_of(house, 1)
    housekeeping.keep_house(house.database, house.settings)
    assert not weights_of(house, 1)
    assert events(house)[-1] == "version.purged"


def test_old_idempotency_keys_are_dropped(house: House) -> None:
    with house.database.writing() as session:
        now = database_now(session)
        for key, age in (("old", 25), ("young", 23)):
            session.add(
                IdempotencyRow(
                    caller="local",
                    key=key,
                    request_digest=b"",
                    status=202,
                    body=b"",
                    created_at=now - timedelta(hours=age),
                )
            )
    housekeeping.keep_house(house.database, house.settings)
    with house.database.reading() as session:
        assert [row.key for row in session.query(IdempotencyRow)] == ["young"]
