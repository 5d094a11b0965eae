from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app.api.idempotency import Idempotency
from app.database.engine import Database
from app.database.tables import IdempotencyRow, JobRow, TombstoneRow
from app.datasets.locations import cache_folder
from app.settings import Settings
from tests.real_server import StartServer, assert_problem
from tests.stored_versions import record_model, record_version, store_version
from tests.waiting import HANGS_AFTER

BODY = {"name": "digits", "dataset": "mnist"}
KEY = {"Idempotency-Key": "order-17"}


def number_of_jobs(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(JobRow)) or 0


@contextmanager
def writers_waiting(database: Database) -> Iterator[None]:
    """Whoever wants to create a model waits until the block ends."""
    with database.writing() as session:
        if not database.is_sqlite:
            session.execute(text("LOCK TABLE model IN ACCESS EXCLUSIVE MODE"))
        else:
            session.execute(text("SELECT 1"))
        yield


def test_the_same_request_again_gets_the_same_answer_and_starts_nothing(
    client: httpx.Client, database: Database
) -> None:
    first = client.post("/v1/models", json=BODY, headers=KEY)
    again = client.post("/v1/models", json=BODY, headers=KEY)
    assert first.status_code == again.status_code == 202
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert number_of_jobs(database) == 1


def test_the_same_body_in_another_order_is_the_same(client: httpx.Client, database: Database) -> None:
    headers = KEY | {"Content-Type": "application/json"}
    first = client.post("/v1/models", content=b'{"name": "digits", "dataset": "mnist"}', headers=headers)
    again = client.post("/v1/models", content=b'{"dataset":"mnist",\n"name":"digits"}', headers=headers)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert number_of_jobs(database) == 1


def test_another_body_or_path_with_the_key_is_422(client: httpx.Client) -> None:
    client.post("/v1/models", json=BODY, headers=KEY)
    other_body = client.post("/v1/models", json=BODY | {"name": "other"}, headers=KEY)
    assert_problem(other_body, 422, "idempotency-key-reused")
    other_path = client.post("/v1/models/digits/train", json={}, headers=KEY)
    assert_problem(other_path, 422, "idempotency-key-reused")


def test_a_key_belongs_to_its_caller(admin: httpx.Client, database: Database) -> None:
    other = admin.post("/v1/api-keys", json={"name": "x", "scopes": ["train"]}).json()["key"]
    assert admin.post("/v1/models", json=BODY, headers=KEY).status_code == 202
    headers = KEY | {"Authorization": f"Bearer {other}"}
    assert_problem(admin.post("/v1/models", json=BODY, headers=headers), 409, "model-exists")
    assert number_of_jobs(database) == 1


def test_a_refused_request_leaves_its_key_unused(client: httpx.Client) -> None:
    unknown = client.post("/v1/models", json=BODY | {"dataset": "none"}, headers=KEY)
    assert_problem(unknown, 404, "dataset-not-found")
    assert client.post("/v1/models", json=BODY, headers=KEY).status_code == 202


def test_an_answer_is_kept_for_a_day(client: httpx.Client, database: Database) -> None:
    client.post("/v1/models", json=BODY, headers=KEY)
    with database.writing() as session:
        kept = session.scalars(select(IdempotencyRow)).one()
        session.execute(update(IdempotencyRow).values(created_at=kept.created_at - timedelta(hours=24, seconds=1)))
    assert_problem(client.post("/v1/models", json=BODY, headers=KEY), 409, "model-exists")
    assert client.post("/v1/models", json=BODY | {"name": "other"}, headers=KEY).status_code == 202


@pytest.fixture
def key_is_held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as a request has the key for itself."""
    alone, held = Idempotency._alone, threading.Event()

    @contextmanager
    def noticed(idempotency: Idempotency, session: Session, actor: str, key: str) -> Iterator[None]:
        with alone(idempotency, session, actor, key):
            held.set()
            yield

    monkeypatch.setattr(Idempotency, "_alone", noticed)
    return held


def test_while_the_first_request_runs_the_second_is_409(
    client: httpx.Client, database: Database, key_is_held: threading.Event
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with writers_waiting(database):
            first = pool.submit(client.post, "/v1/models", json=BODY, headers=KEY)
            assert key_is_held.wait(HANGS_AFTER)
            second = client.post("/v1/models", json=BODY, headers=KEY)
            assert_problem(second, 409, "idempotency-key-in-use")
        assert first.result().status_code == 202
    assert client.post("/v1/models", json=BODY, headers=KEY).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_while_the_first_request_runs_on_one_server_the_second_is_409_on_another(
    start_server: StartServer, database: Database, key_is_held: threading.Event
) -> None:
    one, other = start_server(), start_server()
    with ThreadPoolExecutor(1) as pool:
        with writers_waiting(database):
            first = pool.submit(one.post, "/v1/models", json=BODY, headers=KEY)
            assert key_is_held.wait(HANGS_AFTER)
            assert_problem(other.post("/v1/models", json=BODY, headers=KEY), 409, "idempotency-key-in-use")
        assert first.result().status_code == 202


def test_of_many_requests_at_once_exactly_one_starts_work(client: httpx.Client, database: Database) -> None:
    barrier = threading.Barrier(8)

    def post() -> httpx.Response:
        barrier.wait()
        return client.post("/v1/models", json=BODY, headers=KEY)

    with ThreadPoolExecutor(8) as pool:
        answers = [future.result() for future in [pool.submit(post) for _ in range(8)]]
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.content for answer in answers if answer.status_code == 202}) == 1
    assert sum(answer.status_code == 202 and "idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert number_of_jobs(database) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "é"])
def test_a_key_is_bounded_visible_ascii(client: httpx.Client, key: str) -> None:
    response = client.post("/v1/models", json=BODY, headers={b"Idempotency-Key": key.encode()})
    assert_problem(response, 422, "invalid-input")


def test_cancelling_again_with_the_key_gets_the_first_answer(client: httpx.Client) -> None:
    job = client.post("/v1/models", json=BODY).json()["job"]["id"]
    first = client.post(f"/v1/jobs/{job}/cancel", headers=KEY)
    assert client.post(f"/v1/jobs/{job}/cancel", headers=KEY).content == first.content
    assert_problem(client.post(f"/v1/jobs/{job}/cancel"), 409, "job-finished")


def test_a_create_that_was_accepted_is_not_refused_when_its_data_set_has_gone(
    client: httpx.Client, settings: Settings
) -> None:
    cached = cache_folder(settings) / "kmnist-any.safetensors"
    cached.parent.mkdir(parents=True)
    cached.touch()
    body = BODY | {"dataset": "kmnist"}
    first = client.post("/v1/models", json=body, headers=KEY)
    cached.unlink()
    again = client.post("/v1/models", json=body, headers=KEY)
    assert again.status_code == 202
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert_problem(client.post("/v1/models", json=body | {"name": "other"}), 503, "dataset-unavailable")
    other_body = client.post("/v1/models", json=body | {"name": "other"}, headers=KEY)
    assert_problem(other_body, 422, "idempotency-key-reused")


def test_a_training_that_was_accepted_is_not_refused_when_its_class_was_forgotten(
    client: httpx.Client, settings: Settings, database: Database
) -> None:
    model_id = record_model(database)
    record_version(database, model_id, store_version(settings.home))

    def train(headers: dict[str, str]) -> httpx.Response:
        return client.post("/v1/models/digits/train", json={"classes": [2]}, headers=headers)

    first = train(KEY)
    forgotten = client.post("/v1/models/digits/forget", json={"target": {"classes": [2]}}).json()
    with database.writing() as session:
        session.add(
            TombstoneRow(
                model_id=model_id,
                kind="class",
                item=2,
                forget_request_id=UUID(forgotten["id"]),
                created_at=datetime.now(UTC),
            )
        )
    again = train(KEY)
    assert again.status_code == 202
    assert again.content == first.content

    def refused() -> int:
        return len(client.get("/v1/audit/events", params={"event": "relearning.refused"}).json()["items"])

    assert refused() == 0
    assert_problem(train({}), 409, "class-forgotten")
    assert_problem(train({"Idempotency-Key": "another"}), 409, "class-forgotten")
    assert refused() == 2
