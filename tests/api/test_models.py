from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update

from app.contract.models import ModelAndJob
from app.database.engine import Database
from app.database.tables import JobRow
from app.settings import Settings
from tests.real_server import assert_problem
from tests.stored_versions import record_model, record_version, set_state, store_version

BODY: dict[str, Any] = {"name": "digits", "dataset": "mnist"}

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_a_new_model_is_answered_with_its_job(client: httpx.Client) -> None:
    response = client.post("/v1/models", json=BODY)
    assert response.status_code == 202
    made = ModelAndJob.model_validate_json(response.content)
    assert response.headers["location"] == f"/v1/jobs/{made.job.id}"
    assert client.get(response.headers["location"]).json() == response.json()["job"]
    assert made.job.status == "queued"
    assert made.model.architecture == {"type": "mlp", "hidden": [128]}
    assert made.model.serving_version is made.model.latest_version is None
    assert client.get("/v1/models/digits").json() == response.json()["model"]
    events = client.get("/v1/audit/events", params={"model": "digits"}).json()["items"]
    assert [event["event"] for event in events] == ["model.created", "training.requested"]
    assert {event["request_id"] for event in events} == {response.headers["x-forgettery-request"]}


def test_a_name_is_taken_once(client: httpx.Client) -> None:
    assert client.post("/v1/models", json=BODY).status_code == 202
    assert_problem(client.post("/v1/models", json=BODY), 409, "model-exists")


def test_a_cancelled_first_training_frees_the_name(client: httpx.Client) -> None:
    first = client.post("/v1/models", json={"name": "digits", "dataset": "mnist", "training": {"epochs": 7}}).json()
    problem = assert_problem(
        client.post("/v1/models", json={"name": "digits", "dataset": "mnist"}), 409, "model-exists"
    )
    assert first["job"]["id"] in problem["detail"]
    client.post(f"/v1/jobs/{first['job']['id']}/cancel")
    again = client.post("/v1/models", json={"name": "digits", "dataset": "mnist", "architecture": {"type": "cnn"}})
    assert again.status_code == 202
    assert again.json()["model"]["architecture"]["type"] == "cnn"
    assert client.get("/v1/models/digits").json()["architecture"]["type"] == "cnn"
    jobs = client.get("/v1/jobs", params={"model": "digits"}).json()["items"]
    assert [job["status"] for job in jobs] == ["cancelled", "queued"]
    assert [model["name"] for model in client.get("/v1/models").json()["items"]] == ["digits"]


def test_a_failed_first_training_frees_the_name_and_a_deleted_model_does_not(
    client: httpx.Client, database: Database
) -> None:
    body = {"name": "digits", "dataset": "mnist"}
    job = client.post("/v1/models", json=body).json()["job"]
    with database.writing() as session:
        session.execute(update(JobRow).where(JobRow.id == UUID(job["id"])).values(status="failed"))
    job = client.post("/v1/models", json=body).json()["job"]
    client.post(f"/v1/jobs/{job['id']}/cancel")
    assert client.delete("/v1/models/digits").status_code == 204
    assert_problem(client.post("/v1/models", json=body), 409, "model-exists")


def test_of_many_requests_for_a_name_one_gets_it(client: httpx.Client) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/models", json=BODY), range(6)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409, 409]
    assert len(client.get("/v1/jobs").json()["items"]) == 1


@on_sqlite
@pytest.mark.parametrize(
    ("change", "status", "slug"),
    [
        ({"dataset": "no such"}, 404, "dataset-not-found"),
        ({"architecture": {"type": "transformer"}}, 422, "invalid-input"),
        ({"training": {"optimizer": "adamw"}}, 422, "invalid-input"),
        ({"training": {"learning_rate": 0}}, 422, "invalid-input"),
        ({"learning": {"mode": "unknown"}}, 422, "invalid-input"),
        ({"surprise": 1}, 422, "invalid-input"),
        ({"name": ""}, 422, "invalid-input"),
        ({"name": "a/b"}, 422, "invalid-input"),
        ({"name": "digits\n"}, 422, "invalid-input"),
        ({"name": "x" * 64}, 422, "invalid-input"),
    ],
)
def test_a_model_that_cannot_be_is_refused(
    client: httpx.Client, change: dict[str, Any], status: int, slug: str
) -> None:
    assert_problem(client.post("/v1/models", json=BODY | change), status, slug)
    assert client.get("/v1/models").json() == {"items": [], "next_page_token": None}


@on_sqlite
def test_a_dataset_that_cannot_be_had_is_503_and_starts_nothing(client: httpx.Client) -> None:
    response = client.post("/v1/models", json=BODY | {"dataset": "cifar10"})
    assert_problem(response, 503, "dataset-unavailable")
    assert client.get("/v1/jobs").json()["items"] == []


def test_models_come_page_by_page_and_a_token_fits_its_list_alone(client: httpx.Client) -> None:
    names = sorted(f"model-{number}" for number in range(7))
    for name in names:
        assert client.post("/v1/models", json=BODY | {"name": name}).status_code == 202
    found: list[str] = []
    token: str | None = None
    while True:
        page = client.get("/v1/models", params={"limit": 3} | ({"page_token": token} if token else {})).json()
        found += [model["name"] for model in page["items"]]
        if page["next_page_token"] is None:
            break
        token = page["next_page_token"]
        client.post("/v1/models", json=BODY | {"name": f"a-{len(found)}"})  # sorted before what was read already
    assert found == names
    assert token is not None
    for path in ("/v1/jobs", "/v1/forget-requests", "/v1/audit/events"):
        assert_problem(client.get(path, params={"page_token": token}), 422, "invalid-page-token")
    for wrong in ("x", "", "é", token[:-4], token[::-1]):
        assert_problem(client.get("/v1/models", params={"page_token": wrong}), 422, "invalid-page-token")


@on_sqlite
def test_a_token_fits_its_filters_alone(client: httpx.Client) -> None:
    for number in range(3):
        client.post("/v1/models", json=BODY | {"name": f"model-{number}"})
    first = client.get("/v1/jobs", params={"limit": 1, "status": "queued"}).json()["next_page_token"]
    query = {"limit": 1, "page_token": first}
    assert client.get("/v1/jobs", params=query | {"status": "queued"}).status_code == 200
    for other in ({}, {"status": "failed"}, {"status": "queued", "kind": "train"}):
        assert_problem(client.get("/v1/jobs", params=query | other), 422, "invalid-page-token")


@on_sqlite
def test_training_further_is_answered_with_its_job(client: httpx.Client) -> None:
    client.post("/v1/models", json=BODY)
    response = client.post("/v1/models/digits/train", json={"training": {"epochs": 1}})
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/jobs/{response.json()['job']['id']}"
    assert_problem(client.post("/v1/models/none/train", json={}), 404, "model-not-found")
    assert_problem(client.post("/v1/models/digits/train", json={"classes": [10]}), 404, "class-not-found")
    assert_problem(client.post("/v1/models/digits/train", json={"tasks": [[0, 1]]}), 422, "not-applicable")


def test_the_serving_pointer_moves_to_available_versions_alone(
    client: httpx.Client, settings: Settings, database: Database
) -> None:
    model_id = record_model(database, "letters")
    for number in (1, 2, 3):
        version = store_version(settings.home, model="letters", number=number)
        record_version(database, model_id, version, serve=number == 1)
    with database.writing() as session:
        set_state(session, model_id, 3, "quarantined")
    moved = client.put("/v1/models/letters/serving", json={"version": 2})
    assert moved.status_code == 200
    assert moved.json()["serving_version"] == 2
    quarantined = client.put("/v1/models/letters/serving", json={"version": 3})
    assert_problem(quarantined, 409, "version-remembers")
    assert_problem(client.put("/v1/models/letters/serving", json={"version": 9}), 404, "version-not-found")
    assert_problem(client.put("/v1/models/letters/serving", json={"version": 0}), 422, "invalid-input")
    assert client.get("/v1/models/letters").json()["serving_version"] == 2


@on_sqlite
def test_a_deleted_model_is_gone_and_its_name_with_it(client: httpx.Client, database: Database) -> None:
    record_model(database)
    assert client.delete("/v1/models/digits").status_code == 204
    assert client.delete("/v1/models/digits").status_code == 410
    assert_problem(client.get("/v1/models/digits"), 410, "model-gone")
    assert_problem(client.post("/v1/models", json=BODY), 409, "model-exists")
    assert client.get("/v1/models").json()["items"] == []
    events = client.get("/v1/audit/events", params={"model": "digits"}).json()["items"]
    assert [event["event"] for event in events] == ["model.deleted"]


@on_sqlite
def test_a_model_with_waiting_jobs_is_not_deleted(client: httpx.Client) -> None:
    client.post("/v1/models", json=BODY)
    assert_problem(client.delete("/v1/models/digits"), 409, "job-running")


TASKS = {"mode": "synaptic_intelligence", "tasks": [[0, 1], [2, 3]]}


@on_sqlite
def test_a_model_of_tasks_is_answered_with_all_that_was_left_out(client: httpx.Client) -> None:
    made = client.post("/v1/models", json=BODY | {"learning": {"mode": "progressive"}, "training": {"seed": 3}})
    assert made.status_code == 202
    model = made.json()["model"]
    pairs = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert model["learning"] == {"mode": "progressive", "tasks": pairs, "growth": [50, 50]}
    assert model["architecture"] == {"type": "mlp", "hidden": [50, 50]}
    assert (model["training"]["epochs"], model["training"]["learning_rate"], model["training"]["seed"]) == (10, 0.01, 3)


@on_sqlite
@pytest.mark.parametrize(
    ("change", "status", "slug", "pointers"),
    [
        ({"learning": TASKS | {"tasks": [[0, 1], [1]]}}, 422, "invalid-input", ["/learning/tasks/1/0"]),
        ({"learning": TASKS | {"tasks": [[0, 1], []]}}, 422, "invalid-input", ["/learning/tasks/1"]),
        ({"learning": TASKS | {"tasks": [[0, 1], [10]]}}, 404, "class-not-found", ["/learning/tasks/1/0"]),
        ({"learning": {"mode": "progressive", "growth": [5]}}, 422, "invalid-input", ["/learning/growth"]),
        (
            {"learning": {"mode": "progressive"}, "architecture": {"type": "resnet18"}},
            422,
            "not-applicable",
            ["/learning/mode"],
        ),
        ({"learning": TASKS, "training": {"early_stopping": 1}}, 422, "not-applicable", ["/training/early_stopping"]),
    ],
)
def test_tasks_that_cannot_be_are_refused_and_pointed_at(
    client: httpx.Client, change: dict[str, Any], status: int, slug: str, pointers: list[str]
) -> None:
    problem = assert_problem(client.post("/v1/models", json=BODY | change), status, slug)
    assert [fault["pointer"] for fault in problem["errors"]] == pointers
    assert client.get("/v1/models").json()["items"] == []


@on_sqlite
def test_further_tasks_are_queued_once_and_those_that_wait_count(client: httpx.Client) -> None:
    client.post("/v1/models", json=BODY | {"learning": TASKS})
    train = "/v1/models/digits/train"
    assert client.post(train, json={"tasks": [[8, 9]]}).status_code == 202
    assert client.get("/v1/models/digits").json()["learning"]["tasks"] == [[0, 1], [2, 3]]
    for tasks, pointer in ([[[7, 9]], "/tasks/0/1"], [[[3]], "/tasks/0/0"], [[[6], [6]], "/tasks/1/0"]):
        problem = assert_problem(client.post(train, json={"tasks": tasks}), 422, "invalid-input")
        assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert_problem(client.post(train, json={"tasks": [[10]]}), 404, "class-not-found")
    assert_problem(client.post(train, json={"tasks": []}), 422, "invalid-input")
    assert_problem(client.post(train, json={"tasks": [[6]], "from_scratch": True}), 422, "invalid-input")
    events = client.get("/v1/audit/events", params={"event": "training.requested"}).json()["items"]
    assert [event["details"].get("tasks") for event in events] == [None, [[8, 9]]]
