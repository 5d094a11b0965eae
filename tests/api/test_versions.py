from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from app.contract.versions import Version
from app.database.engine import Database
from app.database.tables import ForgetRequestRow
from app.jobs import queue
from app.operations.lookups import find_model, find_version
from app.settings import Settings
from app.specs.originator import Originator
from tests.real_server import assert_problem
from tests.stored_versions import StoredVersion, record_model, record_version, set_state, store_version
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

VERSIONS = "/v1/models/digits/versions"


@pytest.fixture
def stored(settings: Settings, database: Database) -> list[StoredVersion]:
    """Versions 1 and 2, of which 2 serves."""
    model_id = record_model(database)
    versions = [store_version(settings.home, number=number) for number in (1, 2)]
    for version in versions:
        record_version(database, model_id, version)
    return versions


def leave_in_state(database: Database, number: int, state: str) -> None:
    with database.writing() as session:
        set_state(session, find_model(session, "digits").id, number, state)


def test_a_version_has_its_digest_as_its_etag(client: httpx.Client, stored: list[StoredVersion]) -> None:
    response = client.get(f"{VERSIONS}/2")
    version = Version.model_validate_json(response.content)
    assert version.digest == stored[1].digest
    assert version.serving
    assert response.headers["etag"] == f'"{version.digest}"'


def test_who_has_the_version_is_told_so(client: httpx.Client, stored: list[StoredVersion]) -> None:
    tag = f'"{stored[0].digest}"'
    for offered in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        for path in (f"{VERSIONS}/1", f"{VERSIONS}/1/weights"):
            response = client.get(path, headers={"If-None-Match": offered})
            assert response.status_code == 304
            assert response.headers["etag"] == tag
            assert response.content == b""
    assert client.get(f"{VERSIONS}/1", headers={"If-None-Match": '"other"'}).status_code == 200


def test_nobody_keeps_an_outdated_state(client: httpx.Client, database: Database, stored: list[StoredVersion]) -> None:
    leave_in_state(database, 1, "quarantined")
    response = client.get(f"{VERSIONS}/1", headers={"If-None-Match": f'"{stored[0].digest}"'})
    assert response.status_code == 200
    assert response.json()["state"] == "quarantined"


def test_versions_are_listed_by_number_and_state(
    client: httpx.Client, database: Database, stored: list[StoredVersion]
) -> None:
    leave_in_state(database, 1, "quarantined")
    assert [item["number"] for item in client.get(VERSIONS).json()["items"]] == [1, 2]
    available = client.get(VERSIONS, params={"state": "available"}).json()["items"]
    assert [item["number"] for item in available] == [2]
    assert_problem(client.get(VERSIONS, params={"state": "lost"}), 422, "invalid-input")


def test_the_weights_are_the_bytes_that_the_digest_names(client: httpx.Client, stored: list[StoredVersion]) -> None:
    response = client.get(f"{VERSIONS}/1/weights")
    assert response.status_code == 200
    assert f"sha256:{hashlib.sha256(response.content).hexdigest()}" == stored[0].digest
    assert response.headers["etag"] == f'"{stored[0].digest}"'
    assert response.headers["content-disposition"] == 'attachment; filename="digits-1.safetensors"'
    assert int(response.headers["content-length"]) == len(response.content)


def test_a_download_that_is_broken_off_leaves_no_file_open(
    client: httpx.Client, settings: Settings, database: Database
) -> None:
    large = store_version(settings.home, hidden=(4096, 4096))  # more than the sockets' buffers
    record_version(database, record_model(database), large)
    with client.stream("GET", f"{VERSIONS}/1/weights") as response:
        chunks = response.iter_raw()  # held, because httpx closes the response when its iterator is gone
        next(chunks)
        assert is_open("model.safetensors")
    wait_until(lambda: not is_open("model.safetensors"))


def is_open(name: str) -> bool:
    """Whether this process, in which the server is a thread, holds a file of this name."""
    return any(Path(os.path.realpath(link)).name == name for link in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("state", ["quarantined", "purged"])
def test_weights_of_what_remembers_are_gone_also_for_who_has_them(
    client: httpx.Client, database: Database, stored: list[StoredVersion], state: str
) -> None:
    leave_in_state(database, 1, state)
    for headers in ({}, {"If-None-Match": f'"{stored[0].digest}"'}):
        assert_problem(client.get(f"{VERSIONS}/1/weights", headers=headers), 410, "version-gone")


def test_corrupted_weights_are_never_given_out_and_the_log_says_so(
    client: httpx.Client, settings: Settings, stored: list[StoredVersion]
) -> None:
    file = next(settings.home.glob("models/digits/1/*.safetensors"))
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    assert_problem(client.get(f"{VERSIONS}/1/weights"), 500, "version-corrupted")
    assert client.get(f"{VERSIONS}/2/weights").status_code == 200
    events = client.get("/v1/audit/events", params={"event": "version.corrupted"}).json()["items"]
    assert [event["version"] for event in events] == [1]


def test_a_purge_destroys_the_weights_and_keeps_the_rest(
    client: httpx.Client, settings: Settings, stored: list[StoredVersion]
) -> None:
    assert_problem(client.post(f"{VERSIONS}/2/purge"), 409, "version-serving")
    for _ in range(2):
        purged = client.post(f"{VERSIONS}/1/purge")
        assert purged.status_code == 200
        assert purged.json()["state"] == "purged"
        assert purged.json()["digest"] == stored[0].digest
        assert purged.json()["manifest"]
    assert not list(settings.home.glob("models/digits/1/*.safetensors"))
    assert_problem(client.get(f"{VERSIONS}/1/weights"), 410, "version-gone")
    events = client.get("/v1/audit/events", params={"event": "version.purged"}).json()["items"]
    assert len(events) == 1


def test_a_version_without_a_guard_has_none_to_delete(client: httpx.Client, stored: list[StoredVersion]) -> None:
    assert client.get(f"{VERSIONS}/1").json()["guard"] is None
    assert_problem(client.delete(f"{VERSIONS}/1/guard"), 404, "guard-not-found")
    assert_problem(client.delete(f"{VERSIONS}/9/guard"), 404, "version-not-found")


def test_unknown_versions_and_models_are_404(client: httpx.Client, stored: list[StoredVersion]) -> None:
    for path in (f"{VERSIONS}/9", f"{VERSIONS}/9/weights"):
        assert_problem(client.get(path), 404, "version-not-found")
    assert_problem(client.post(f"{VERSIONS}/9/purge"), 404, "version-not-found")
    assert_problem(client.get("/v1/models/none/versions"), 404, "model-not-found")


@pytest.mark.parametrize("state", ["available", "quarantined", "purged"])
def test_the_model_card_is_markdown_with_dates_in_every_state(
    client: httpx.Client, database: Database, stored: list[StoredVersion], state: str
) -> None:
    leave_in_state(database, 1, state)
    answer = client.get(f"{VERSIONS}/1/card")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/markdown")
    created = client.get(f"{VERSIONS}/1").json()["created_at"]
    assert answer.text.startswith("# digits, version 1\n")
    assert f"- State: {state}." in answer.text
    assert f"- Created: {created[:19]}Z." in answer.text
    assert stored[0].digest in answer.text
    assert_problem(client.get(f"{VERSIONS}/9/card"), 404, "version-not-found")


def test_the_model_card_names_the_forget_request_and_its_dates(
    client: httpx.Client, database: Database, stored: list[StoredVersion]
) -> None:
    request_id = uuid4()
    received = datetime(2026, 3, 14, 9, 26, 53, 589793, UTC)
    with database.writing() as session:
        model = find_model(session, "digits")
        job = queue.submit(session, "forget", model.id, {}, by=Originator("somebody"))
        session.add(
            ForgetRequestRow(
                id=request_id,
                model_id=model.id,
                job_id=job.id,
                target={"classes": [2]},
                method="edit",
                requested_method="edit",
                refusal="push",
                reference="none",
                num_references=1,
                parameters={},
                seed=0,
                status="completed",
                verdict="passed",
                claim="edited",
                received_at=received,
                completed_at=received + timedelta(seconds=10),
            )
        )
        version = find_version(session, model, 2)
        version.forget_request_id = request_id
    row = f"| `{request_id}` | `edit` | edited | passed | 2026-03-14T09:26:53Z | 2026-03-14T09:27:03Z |"
    assert row in client.get(f"{VERSIONS}/2/card").text
    assert row not in client.get(f"{VERSIONS}/1/card").text
