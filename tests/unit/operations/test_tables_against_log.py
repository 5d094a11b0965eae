"""What is changed in the tables by hand, past the service, contradicts the log and is named; what the service does is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.audit import triggers
from app.contract.audit import AuditProblem, AuditVerification
from app.contract.keys import ApiKeyCreate
from app.database.engine import Database
from app.operations.administration import api_keys, audit, jobs
from app.operations.caller import Caller
from app.operations.models import models, versions
from app.settings import Settings
from app.specs.originator import Originator
from tests.unit.audit.conftest import Outsider
from tests.unit.operations.conftest import CALLER, House, copied, furnished

SAMPLES = (3, 4, 8)
"""None of them of class 2."""
BLIND: dict[str, Any] = {"reference": "none"}


def verified(house: House) -> AuditVerification:
    with house.database.reading() as session:
        return audit.verify(session)


def changed(house: House, *statements: str) -> list[AuditProblem]:
    """What verification names after these statements of somebody who goes around the service."""
    assert verified(house).problems == []
    outsider = Outsider(house.database)
    outsider.execute(*statements)
    outsider.engine.dispose()
    result = verified(house)
    assert result.ok == (not result.problems)
    return result.problems


def named(problems: list[AuditProblem]) -> list[tuple[int | None, str | None]]:
    return [(problem.index, problem.column) for problem in problems]


def index_of(house: House, event: str, version: int | None = None) -> int:
    """Of the last entry of this event, of this version if asked."""
    statement = "SELECT max(leaf_index) FROM audit_entry WHERE event = :event AND (version = :version OR :any)"
    with house.database.reading() as session:
        found = session.scalar(text(statement), {"event": event, "version": version or 0, "any": version is None})
    assert isinstance(found, int)
    return found


@pytest.fixture(scope="module")
def _forgetful(_trained: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Version 1 remembers class 2 and is quarantined, version 2 serves."""
    house = furnished(_trained, tmp_path_factory.mktemp("forgetful"))
    house.forget(2, refusal="calibrate", **BLIND)
    house.work()
    return house


@pytest.fixture
def forgetful(_forgetful: House, database: Database, settings: Settings) -> House:
    """A house of its own with those versions."""
    return copied(_forgetful, database, settings)


@pytest.mark.slow
def test_a_house_in_which_all_was_done_by_the_service_contradicts_nothing(house: House) -> None:
    house.forget(2, refusal="calibrate", **BLIND)
    house.work()
    house.forget(samples=SAMPLES, method="euk", **BLIND)
    house.work()
    house.train(serve=False)
    house.work()
    with house.database.writing() as session:
        versions.set_serving(session, CALLER, "digits", 4)
    versions.purge_version(house.database, house.settings, CALLER, "digits", 1)
    assert verified(house).problems == []
    models.delete_model(house.database, house.settings, CALLER, "digits")
    assert verified(house).problems == []


def test_a_name_whose_first_training_was_cancelled_is_used_once_more_without_contradiction(house: House) -> None:
    first = house.create(name="letters")
    with house.database.writing() as session:
        jobs.cancel_job(session, CALLER, first.id)
    assert verified(house).problems == []
    house.create(name="letters", dataset="fashion_mnist")
    assert index_of(house, "model.created") > index_of(house, "training.cancelled")
    assert verified(house).problems == []


def test_a_job_that_commits_between_log_and_tables_is_not_seen_half(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = verified(house).size

    def committing_meanwhile(session: Session) -> Iterator[AuditProblem]:
        house.forget(2, refusal="calibrate", **BLIND)
        house.work()
        return triggers.guard_problems(session)

    with monkeypatch.context() as patched:
        patched.setattr("app.operations.administration.audit.guard_problems", committing_meanwhile)
        meanwhile = verified(house)
    assert (meanwhile.size, meanwhile.problems) == (size, [])
    assert verified(house).size > size
    assert verified(house).ok


def test_a_claim_that_was_raised_is_named_with_the_entry_that_published_the_version(forgetful: House) -> None:
    problems = changed(forgetful, "UPDATE version SET claim = 'exact' WHERE number = 2")
    assert named(problems) == [(index_of(forgetful, "version.published", 2), "version.claim")]
    assert problems[0].reason == "claim of version 2 of digits is exact; the log says edited"


def test_a_quarantined_version_made_available_is_named_with_the_entry_that_took_it_away(forgetful: House) -> None:
    problems = changed(forgetful, "UPDATE version SET state = 'available', quarantined_at = NULL WHERE number = 1")
    assert named(problems) == [(index_of(forgetful, "version.quarantined", 1), "version.state")]
    assert problems[0].reason == "state of version 1 of digits is available; the log says quarantined"


def test_a_purged_version_is_named_when_it_is_made_a_quarantined_one_again(forgetful: House) -> None:
    versions.purge_version(forgetful.database, forgetful.settings, CALLER, "digits", 1)
    problems = changed(forgetful, "UPDATE version SET state = 'quarantined' WHERE number = 1")
    assert named(problems) == [(index_of(forgetful, "version.purged", 1), "version.state")]


def test_a_tombstone_of_a_class_that_was_deleted_is_named(forgetful: House) -> None:
    problems = changed(forgetful, "DELETE FROM tombstone")
    assert named(problems) == [(index_of(forgetful, "forget.completed"), "tombstone.item")]
    assert problems[0].reason.startswith("there is no tombstone of class 2; forget request ")


def test_a_tombstone_of_another_class_is_named_on_both_sides(forgetful: House) -> None:
    problems = changed(forgetful, "UPDATE tombstone SET item = 7")
    assert named(problems) == [(index_of(forgetful, "forget.completed"), "tombstone.item")] * 2
    assert "no tombstone of class 2" in problems[0].reason
    assert "knows of no tombstone of class 7" in problems[1].reason


@pytest.mark.slow
def test_a_tombstone_of_a_sample_that_was_deleted_is_named_by_number_never_by_id(house: House) -> None:
    house.forget(samples=SAMPLES, method="euk", **BLIND)
    house.work()
    problems = changed(house, "DELETE FROM tombstone WHERE item = 4")
    assert named(problems) == [(index_of(house, "forget.completed"), "tombstone.item")]
    assert problems[0].reason.startswith("there are tombstones of 2 samples, the log says 3; ")


@pytest.mark.parametrize(
    ("statement", "event", "column"),
    [
        ("UPDATE version SET forgotten = '{\"classes\": [], \"tasks\": [], \"num_samples\": 0}' WHERE number = 2",
         "version.published", "version.forgotten"),
        ("UPDATE version SET digest = 'sha256:0' WHERE number = 2", "version.published", "version.digest"),
        ("DELETE FROM version WHERE number = 2", "version.published", "version.number"),
        ("UPDATE forget_request SET claim = 'exact'", "forget.completed", "forget_request.claim"),
        ("UPDATE forget_request SET status = 'failed'", "forget.completed", "forget_request.status"),
        ("UPDATE model SET serving_version = 1", "serving.moved", "model.serving_version"),
        ("UPDATE model SET deleted_at = created_at", "model.created", "model.deleted_at"),
    ],
)  # fmt: skip
def test_what_else_the_log_says_of_a_row_is_named(forgetful: House, statement: str, event: str, column: str) -> None:
    assert named(changed(forgetful, statement)) == [(index_of(forgetful, event), column)]


@pytest.mark.parametrize(
    ("statement", "column"),
    [
        ("UPDATE forget_request SET target = '{\"classes\": [3]}'", "target"),
        ("UPDATE forget_request SET method = 'retrain'", "method"),
        ("UPDATE forget_request SET requested_method = 'retrain'", "requested_method"),
        ("UPDATE forget_request SET scope = 'all_layers'", "scope"),
        ("UPDATE forget_request SET strategy = 'random'", "strategy"),
        ("UPDATE forget_request SET refusal = 'push'", "refusal"),
        ("UPDATE forget_request SET reference = 'wait'", "reference"),
        ("UPDATE forget_request SET num_references = 7", "num_references"),
        ("UPDATE forget_request SET min_claim = 'exact'", "min_claim"),
        ("UPDATE forget_request SET seed = 7", "seed"),
    ],
)
def test_what_a_request_asked_for_is_named_when_it_is_rewritten(house: House, statement: str, column: str) -> None:
    house.forget(2, refusal="calibrate", **BLIND)
    assert named(changed(house, statement)) == [(index_of(house, "forget.requested"), f"forget_request.{column}")]


@pytest.mark.parametrize(
    ("statement", "event", "column"),
    [
        ("UPDATE forget_request SET target = '{\"classes\": [3]}'", "forget.completed", "forget_request.target"),
        ("UPDATE forget_request SET parent_version = 2", "forget.completed", "forget_request.parent_version"),
        ("UPDATE verification SET verdict = 'failed'", "verification.completed", "verification.verdict"),
        ("UPDATE verification SET claim = 'exact'", "verification.completed", "verification.claim"),
        ("UPDATE verification SET depth = 'deep'", "verification.completed", "verification.depth"),
        ("UPDATE verification SET version = 1", "verification.completed", "verification.version"),
        ("UPDATE verification SET digest = NULL", "verification.completed", "verification.digest"),
        ("UPDATE verification SET verdict = NULL, claim = NULL, completed_at = NULL",
         "verification.completed", "verification.job_id"),
        ("DELETE FROM verification", "verification.completed", "verification.job_id"),
        ("UPDATE model SET architecture = '{\"type\": \"cnn\"}'", "model.created", "model.architecture"),
    ],
)  # fmt: skip
def test_what_came_of_a_request_is_named_when_it_is_rewritten(
    forgetful: House, statement: str, event: str, column: str
) -> None:
    assert named(changed(forgetful, statement)) == [(index_of(forgetful, event), column)]


def test_a_cancelled_request_is_named_when_it_is_made_one_that_waits(house: House) -> None:
    request = house.forget(2)
    with house.database.writing() as session:
        jobs.cancel_job(session, CALLER, request.job.id)
    problems = changed(house, "UPDATE forget_request SET status = 'queued'")
    assert named(problems) == [(index_of(house, "forget.cancelled"), "forget_request.status")]


def test_a_failed_request_is_named_when_it_is_made_a_completed_one(house: House) -> None:
    hopeless = {"steps": 1, "learning_rate": 1e-6, "utility_budget": 0.0}
    house.forget(2, method="finetune", refusal="calibrate", parameters=hopeless, **BLIND)
    house.work()
    problems = changed(house, "UPDATE forget_request SET status = 'completed', verdict = 'passed'")
    failed = index_of(house, "forget.failed")
    assert sorted(named(problems)) == [(failed, "forget_request.status"), (failed, "forget_request.verdict")]


def test_a_request_for_samples_is_compared_by_their_number_never_by_id(house: House) -> None:
    house.forget(samples=SAMPLES, method="euk", **BLIND)
    problems = changed(house, "UPDATE forget_request SET target = '{\"samples\": [11, 12]}'")
    assert named(problems) == [(index_of(house, "forget.requested"), "forget_request.target")]
    assert problems[0].reason.endswith("is {'num_samples': 2}; the log says {'num_samples': 3}")


def test_a_task_that_was_partly_forgotten_meanwhile_contradicts_nothing(task_house: House) -> None:
    task_house.forget(2, tasks=[1], refusal="calibrate", **BLIND)
    task_house.forget(tasks=[1, 2], refusal="calibrate", **BLIND)
    assert verified(task_house).problems == []
    task_house.work()
    task_house.work()
    assert verified(task_house).problems == []


@pytest.fixture
def keyed(house: House) -> House:
    """An administrator's key, and a reader's that was revoked."""
    admin = Caller(Originator("admin", CALLER.by.request_id), frozenset({"admin"}))
    with house.database.writing() as session:
        api_keys.create_api_key(session, admin, ApiKeyCreate(name="admin", scopes=["admin"]))
        reader = api_keys.create_api_key(session, admin, ApiKeyCreate(name="reader", scopes=["read", "predict"]))
        api_keys.revoke_api_key(session, admin, house.settings, reader.id)
    return house


@pytest.mark.parametrize(
    ("statement", "event", "column"),
    [
        ("UPDATE api_key SET revoked_at = NULL WHERE name = 'reader'", "api-key.revoked", "revoked_at"),
        ("UPDATE api_key SET scopes = '[\"admin\"]' WHERE name = 'reader'", "api-key.revoked", "scopes"),
        ("UPDATE api_key SET revoked_at = created_at WHERE name = 'admin'", None, "revoked_at"),
        ("DELETE FROM api_key WHERE name = 'reader'", "api-key.revoked", "id"),
    ],
)
def test_a_key_that_was_changed_is_named_with_the_last_entry_that_tells_of_it(
    keyed: House, statement: str, event: str | None, column: str
) -> None:
    last = index_of(keyed, "api-key.created") - 1 if event is None else index_of(keyed, event)
    assert named(changed(keyed, statement)) == [(last, f"api_key.{column}")]


def test_a_key_that_no_entry_tells_of_is_named_without_an_entry(keyed: House) -> None:
    forged = "'" + "0" * 32 + "'" if keyed.database.is_sqlite else f"'{UUID(int=0)}'"
    secret = "X'00'" if keyed.database.is_sqlite else "'\\x00'::bytea"
    columns = "INSERT INTO api_key (id, name, scopes, key_hash, created_at)"
    problems = changed(
        keyed, f"{columns} SELECT {forged}, name, scopes, {secret}, created_at FROM api_key WHERE name = 'admin'"
    )
    assert named(problems) == [(None, "api_key.id")]
    assert "is in the table, but no entry that holds tells of it" in problems[0].reason


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_tombstone_of_no_number_is_named_and_stops_nothing(forgetful: House) -> None:
    problems = changed(
        forgetful,
        "INSERT INTO tombstone SELECT model_id, kind, 'seven', forget_request_id, created_at FROM tombstone",
        "INSERT INTO tombstone SELECT model_id, kind, 10, forget_request_id, created_at FROM tombstone WHERE item = 2",
    )
    assert named(problems) == [(index_of(forgetful, "forget.completed"), "tombstone.item")]
    assert "knows of no tombstone of classes 10, seven;" in problems[0].reason


@pytest.mark.parametrize("written", ["no JSON", "[]", "{}"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_value_that_the_service_could_not_read_is_named_and_stops_nothing(house: House, written: str) -> None:
    problems = changed(house, f"UPDATE version SET forgotten = '{written}'")
    assert named(problems) == [(index_of(house, "version.published", 1), "version.forgotten")]


def test_a_version_that_no_entry_tells_of_is_named_without_an_entry(house: House) -> None:
    columns = "state, origin, parent, digest, manifest_digest, forgotten, claim, metrics, manifest, forget_request_id, created_at"
    problems = changed(
        house, f"INSERT INTO version (model_id, number, {columns}) SELECT model_id, 9, {columns} FROM version"
    )
    assert named(problems) == [(None, "version.number")]
    assert "version 9 of digits is in the table, but no entry" in problems[0].reason


def test_tables_are_held_against_the_entries_that_hold(forgetful: House) -> None:
    outsider = Outsider(forgetful.database)
    outsider.drop_guards()
    outsider.execute("DELETE FROM audit_entry WHERE event = 'training.requested'")
    outsider.execute("UPDATE version SET claim = 'exact' WHERE number = 2")
    outsider.engine.dispose()
    problems = [problem for problem in verified(forgetful).problems if problem.column is not None]
    assert named(problems) == [(1, "leaf_index"), (index_of(forgetful, "version.published", 2), "version.claim")]
