from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import update

from app.client import Client
from app.database.engine import Database
from app.database.tables import JobRow
from app.settings import Settings
from tests.real_server import assert_problem, serving
from tests.waiting import HANGS_AFTER

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def create_job(client: httpx.Client, name: str = "digits") -> str:
    job_id: str = client.post("/v1/models", json={"name": name, "dataset": "mnist"}).json()["job"]["id"]
    return job_id


def change(database: Database, job_id: str, **values: Any) -> None:
    """What a worker would write."""
    with database.writing() as session:
        session.execute(update(JobRow).where(JobRow.id == UUID(job_id)).values(revision=JobRow.revision + 1, **values))


def events_of(client: httpx.Client, job_id: str, **headers: str) -> list[dict[str, Any]]:
    """Every event of the stream, up to its end."""
    response = client.get(f"/v1/jobs/{job_id}/events", headers=headers)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = []
    for block in response.text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        assert fields["event"] == "job"
        events.append({"event_id": int(fields["id"])} | json.loads(fields["data"]))
    return events


def test_jobs_are_listed_by_status_kind_and_model(client: httpx.Client) -> None:
    first, second = create_job(client), create_job(client, "letters")
    client.post(f"/v1/jobs/{first}/cancel")

    def listed(**filters: str) -> list[str]:
        return [item["id"] for item in client.get("/v1/jobs", params=filters).json()["items"]]

    assert listed() == listed(kind="train") == [first, second]
    assert listed(status="cancelled") == [first]
    assert listed(model="letters") == [second]
    assert listed(kind="forget") == listed(model="nobody") == []


@on_sqlite
def test_an_unknown_job_is_404_everywhere(client: httpx.Client) -> None:
    for method, path in [("GET", ""), ("GET", "/events"), ("POST", "/cancel")]:
        assert_problem(client.request(method, f"/v1/jobs/{uuid4()}{path}"), 404, "job-not-found")


def test_a_queued_job_is_cancelled_at_once_and_only_once(client: httpx.Client) -> None:
    job = create_job(client)
    cancelled = client.post(f"/v1/jobs/{job}/cancel")
    assert cancelled.status_code == 202
    assert cancelled.json()["status"] == "cancelled"
    assert_problem(client.post(f"/v1/jobs/{job}/cancel"), 409, "job-finished")
    events = client.get("/v1/audit/events").json()["items"]
    assert [event["event"] for event in events][-1] == "training.cancelled"


@on_sqlite
def test_cancelling_needs_the_scope_that_starts_such_jobs(admin: httpx.Client) -> None:
    def key(scope: str) -> dict[str, str]:
        made = admin.post("/v1/api-keys", json={"name": scope, "scopes": [scope]}).json()
        return {"Authorization": f"Bearer {made['key']}"}

    training = create_job(admin)
    forgetting = admin.post("/v1/models/digits/forget", json={"target": {"classes": [2]}}).json()["job"]["id"]
    train, forget = key("train"), key("forget")
    assert_problem(admin.post(f"/v1/jobs/{training}/cancel", headers=forget), 403, "missing-scope")
    assert_problem(admin.post(f"/v1/jobs/{forgetting}/cancel", headers=train), 403, "missing-scope")
    assert admin.post(f"/v1/jobs/{forgetting}/cancel", headers=forget).status_code == 202
    assert admin.post(f"/v1/jobs/{training}/cancel", headers=train).status_code == 202


def test_events_tell_every_state_and_end_with_the_last(client: httpx.Client, database: Database) -> None:
    job = create_job(client)
    told = threading.Event()

    def watch() -> list[str]:
        seen: list[str] = []
        with Client(str(client.base_url)) as watcher:
            for event in watcher.job_events(UUID(job)):
                seen.append(event.job.status)
                told.set()
        return seen

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        assert told.wait(HANGS_AFTER)
        told.clear()
        change(database, job, status="running")
        assert told.wait(HANGS_AFTER)
        client.post(f"/v1/jobs/{job}/cancel")
        change(database, job, status="failed")
        statuses = watching.result(HANGS_AFTER)
    assert statuses[:2] == ["queued", "running"]
    assert statuses[-1] == "failed"


@on_sqlite
def test_events_go_on_after_the_last_one_that_was_read(client: httpx.Client, database: Database) -> None:
    job = create_job(client)
    change(database, job, status="succeeded")
    (event,) = events_of(client, job)
    assert event["status"] == "succeeded"
    assert [again["event_id"] for again in events_of(client, job, **{"Last-Event-ID": str(event["event_id"] - 1)})] == [
        event["event_id"]
    ]


@on_sqlite
def test_who_was_told_all_is_asked_not_to_come_back(client: httpx.Client, database: Database) -> None:
    job = create_job(client)
    change(database, job, status="succeeded")
    (event,) = events_of(client, job)
    response = client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": str(event["event_id"])})
    assert response.status_code == 204
    wrong = client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": "x"})
    assert_problem(wrong, 422, "invalid-input")


@on_sqlite
def test_streams_of_events_keep_nobody_waiting(client: httpx.Client, database: Database) -> None:
    job = create_job(client)
    with ThreadPoolExecutor(60) as pool:
        watching = [pool.submit(events_of, client, job) for _ in range(60)]
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/jobs").status_code == 200
        change(database, job, status="failed")
        assert all(watched.result(60)[-1]["status"] == "failed" for watched in watching)


@on_sqlite
def test_a_watcher_that_leaves_is_let_go(client: httpx.Client) -> None:
    job = create_job(client)
    for _ in range(3):
        with client.stream("GET", f"/v1/jobs/{job}/events") as response:
            assert next(response.iter_lines()).startswith("event: job")
    assert client.get("/healthz").status_code == 200


@on_sqlite
def test_a_server_that_stops_ends_its_streams(settings: Settings, database: Database) -> None:
    with httpx.Client(timeout=HANGS_AFTER) as watcher:
        with serving(settings, database) as client:
            url = f"{str(client.base_url).rstrip('/')}/v1/jobs/{create_job(client)}/events".replace(":/v1", "/v1")
            response = watcher.send(watcher.build_request("GET", url), stream=True)
            lines = response.iter_lines()
            assert next(lines) == "event: job"
        assert [line.partition(":")[0] for line in lines] == ["data", "id", ""]
