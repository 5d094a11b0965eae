from __future__ import annotations

import httpx
import pytest
from sqlalchemy import text

from app.audit import signing_keys
from app.contract.audit import AuditConsistency, AuditEvent, AuditProof, AuditVerification
from app.database.engine import Database
from app.evidence.checkpoint import verified
from app.evidence.encoding import decode_base64
from app.evidence.keys import PublicKeys
from app.evidence.merkle import consistency_holds
from app.evidence.proof import Proof
from app.operations.administration import checkpoints
from app.settings import Settings
from tests.real_server import assert_problem


@pytest.fixture
def history(client: httpx.Client) -> httpx.Client:
    """A client of a server where two models were created, and a class of one is to be forgotten."""
    for name in ("digits", "letters"):
        assert client.post("/v1/models", json={"name": name, "dataset": "mnist"}).status_code == 202
    assert client.post("/v1/models/digits/forget", json={"target": {"classes": [2]}}).status_code == 202
    return client


def listed(client: httpx.Client, **filters: str) -> list[AuditEvent]:
    items = client.get("/v1/audit/events", params=filters).json()["items"]
    return [AuditEvent.model_validate(item) for item in items]


def test_entries_come_in_the_order_of_the_log(history: httpx.Client) -> None:
    entries = listed(history)
    assert [entry.index for entry in entries] == list(range(len(entries)))
    assert [entry.event for entry in entries] == [
        *("model.created", "training.requested") * 2,
        "forget.requested",
    ]
    assert all(entry.actor == "local" for entry in entries)
    assert all(len(entry.leaf_hash) == 64 for entry in entries)


def test_entries_are_found_by_model_event_and_forget_request(history: httpx.Client) -> None:
    (forgetting,) = listed(history, event="forget.requested")
    assert forgetting.details["classes"] == [2]
    assert listed(history, forget_request=str(forgetting.forget_request)) == [forgetting]
    assert {entry.model for entry in listed(history, model="letters")} == {"letters"}
    assert listed(history, model="letters", event="forget.requested") == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_filter_that_nothing_can_match_is_422(client: httpx.Client) -> None:
    for filters in ({"event": "x" * 61}, {"event": "UPPER"}, {"model": "UPPER"}, {"forget_request": "17"}):
        assert_problem(client.get("/v1/audit/events", params=filters), 422, "invalid-input")


def test_an_untouched_log_verifies(history: httpx.Client) -> None:
    verification = AuditVerification.model_validate(history.get("/v1/audit/verify").json())
    assert verification.ok
    assert verification.size == 5
    assert verification.problems == []


def tamper(database: Database, statement: str) -> None:
    with database.writing() as session:
        if database.is_sqlite:
            for name in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                session.execute(text(f"DROP TRIGGER {name}"))
        else:
            session.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER ALL"))
        session.execute(text(statement))


def test_a_changed_entry_is_named(history: httpx.Client, database: Database) -> None:
    tamper(database, "UPDATE audit_entry SET actor = 'somebody' WHERE leaf_index = 3")
    verification = AuditVerification.model_validate(history.get("/v1/audit/verify").json())
    assert not verification.ok
    assert (verification.problems[0].index, verification.problems[0].column) == (3, "actor")


def test_the_public_keys_are_what_the_verifier_reads(client: httpx.Client, settings: Settings) -> None:
    assert_problem(client.get("/v1/audit/keys"), 409, "signing-keys-missing")
    made = signing_keys.make(settings.resolved_signing_keys, "example.org/forgettery")
    answer = client.get("/v1/audit/keys")
    assert PublicKeys.from_json(answer.text).log == made.public.log
    assert answer.json()["origin"] == "example.org/forgettery"
    assert "PRIVATE" not in answer.text


def test_the_newest_checkpoint_is_a_note_that_its_keys_have_signed(
    history: httpx.Client, settings: Settings, database: Database
) -> None:
    assert_problem(history.get("/v1/audit/checkpoint"), 404, "checkpoint-not-found")
    signing_keys.make(settings.resolved_signing_keys)
    checkpoints.sign_if_due(database, settings)
    answer = history.get("/v1/audit/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    signed = verified(answer.content, PublicKeys.from_json(history.get("/v1/audit/keys").text).log)
    verification = AuditVerification.model_validate(history.get("/v1/audit/verify").json())
    assert (signed.size, signed.root.hex()) == (verification.size, verification.root)


@pytest.fixture
def signed(history: httpx.Client, settings: Settings, database: Database) -> httpx.Client:
    """The history, with a checkpoint of its five entries, and one more entry behind it."""
    signing_keys.make(settings.resolved_signing_keys)
    checkpoints.sign_if_due(database, settings)
    assert history.post("/v1/models", json={"name": "more", "dataset": "mnist"}).status_code == 202
    return history


def test_an_entry_is_proved_to_be_under_the_newest_checkpoint(signed: httpx.Client) -> None:
    keys = PublicKeys.from_json(signed.get("/v1/audit/keys").text)
    for index in range(5):
        proof = AuditProof.model_validate(signed.get(f"/v1/audit/events/{index}/proof").json())
        stated = verified(proof.checkpoint.encode(), keys.log)
        assert (stated.size, stated.root.hex()) == (proof.tree_size, proof.root_hash) == (5, proof.root_hash)
        file = Proof(
            index, tuple(map(bytes.fromhex, proof.hashes)), proof.checkpoint.encode(), decode_base64(proof.entry)
        )
        Proof.parse(file.to_bytes()).check_included(decode_base64(proof.entry), stated)


def test_what_no_checkpoint_covers_is_not_proved(signed: httpx.Client) -> None:
    problem = assert_problem(signed.get("/v1/audit/events/5/proof"), 404, "checkpoint-not-found")
    assert "not under the newest checkpoint, of 5 entries" in problem["detail"]
    assert_problem(signed.get("/v1/audit/events/99/proof"), 404, "audit-entry-not-found")


def test_a_later_log_is_proved_to_begin_with_an_earlier_one(signed: httpx.Client) -> None:
    now = AuditVerification.model_validate(signed.get("/v1/audit/verify").json())
    found = AuditConsistency.model_validate(signed.get("/v1/audit/consistency", params={"from": 5, "to": 7}).json())
    assert (found.size, found.root) == (now.size, now.root) == (7, now.root)
    hashes = [bytes.fromhex(each) for each in found.hashes]
    assert consistency_holds(5, 7, bytes.fromhex(found.old_root), bytes.fromhex(found.root), hashes)


@pytest.mark.parametrize("sizes", [{"from": 5, "to": 3}, {"from": 1, "to": 8}, {"from": 0, "to": 3}, {"from": 1}])
def test_sizes_that_the_log_has_not_are_refused(signed: httpx.Client, sizes: dict[str, int]) -> None:
    assert_problem(signed.get("/v1/audit/consistency", params=sizes), 422, "invalid-input")


def test_a_log_that_lost_an_entry_proves_nothing_and_says_so(signed: httpx.Client, database: Database) -> None:
    tamper(database, "DELETE FROM audit_entry WHERE leaf_index = 1")
    for address in ("/v1/audit/events/3/proof", "/v1/audit/consistency?from=5&to=7"):
        assert "audit verify" in assert_problem(signed.get(address), 500, "integrity-violation")["detail"]
