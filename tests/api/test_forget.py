from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from app.contract.forgetting import ForgetRequest
from app.database.engine import Database
from app.database.tables import AuditEntryRow, JobRow
from tests.real_server import assert_problem

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

FORGET = "/v1/models/digits/forget"
REASON = "a person's words that no log may hold"


@pytest.fixture
def digits(client: httpx.Client) -> httpx.Client:
    """A client of a server on which `digits` waits for its training."""
    assert client.post("/v1/models", json={"name": "digits", "dataset": "mnist"}).status_code == 202
    return client


def test_a_request_is_answered_with_its_job(digits: httpx.Client) -> None:
    response = digits.post(FORGET, json={"target": {"classes": [2]}, "reason": REASON})
    assert response.status_code == 202
    request = ForgetRequest.model_validate_json(response.content)
    assert response.headers["location"] == f"/v1/jobs/{request.job.id}"
    assert (request.method, request.strategy, request.scope, request.refusal) == ("edit", "zero", "network", "push")
    assert request.status == "queued"
    assert request.reason == REASON
    assert digits.get(f"/v1/forget-requests/{request.id}").json() == response.json()


def test_the_reason_stays_out_of_the_audit_log(digits: httpx.Client, database: Database) -> None:
    digits.post(FORGET, json={"target": {"classes": [2]}, "reason": REASON})
    with database.reading() as session:
        assert all(REASON.encode() not in entry for entry in session.scalars(select(AuditEntryRow.entry)))


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"target": {"classes": [10]}}, 404, "class-not-found"),
        ({"target": {"classes": list(range(10))}}, 409, "nothing-left"),
        ({"target": {"classes": []}}, 422, "invalid-input"),
        ({"target": {}}, 422, "invalid-input"),
        ({}, 422, "invalid-input"),
        ({"target": {"classes": [2], "samples": [1]}}, 422, "invalid-input"),
        ({"target": {"classes": ["two"]}}, 422, "invalid-input"),
        ({"target": {"classes": [2]}, "strategy": "erase"}, 422, "invalid-input"),
        ({"target": {"classes": [2]}, "parameters": {"share": 2}}, 422, "invalid-input"),
        ({"target": {"tasks": [0]}}, 422, "not-applicable"),
        ({"target": {"samples": [0]}, "method": "edit"}, 422, "not-applicable"),
        ({"target": {"samples": [0]}, "method": "ssd", "refusal": "push"}, 422, "not-applicable"),
        ({"target": {"samples": [0, 60_000]}}, 404, "sample-not-found"),
        ({"target": {"samples": [0, 0]}}, 422, "invalid-input"),
        ({"target": {"classes": [2]}, "method": "euk", "strategy": "zero"}, 422, "invalid-input"),
        ({"target": {"classes": [2]}, "min_claim": "exact"}, 422, "not-applicable"),
    ],
)
def test_what_cannot_be_forgotten_is_refused_and_queues_nothing(
    digits: httpx.Client, database: Database, body: dict[str, Any], status: int, slug: str
) -> None:
    assert_problem(digits.post(FORGET, json=body), status, slug)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(JobRow)) == 1


def test_queued_requests_count_as_forgotten(digits: httpx.Client) -> None:
    assert digits.post(FORGET, json={"target": {"classes": [2, 5]}}).status_code == 202
    assert_problem(digits.post(FORGET, json={"target": {"classes": [5]}}), 409, "already-forgotten")
    rest = [number for number in range(10) if number not in {2, 5}]
    assert_problem(digits.post(FORGET, json={"target": {"classes": rest}}), 409, "nothing-left")


def test_an_unknown_model_or_request_is_404(client: httpx.Client) -> None:
    assert_problem(client.post(FORGET, json={"target": {"classes": [2]}}), 404, "model-not-found")
    assert_problem(client.get(f"/v1/forget-requests/{uuid4()}"), 404, "forget-request-not-found")


def test_requests_are_listed_by_model_and_status(digits: httpx.Client) -> None:
    ids = [digits.post(FORGET, json={"target": {"classes": [number]}}).json()["id"] for number in (2, 5)]
    cancelled = digits.get(f"/v1/forget-requests/{ids[0]}").json()["job"]["id"]
    digits.post(f"/v1/jobs/{cancelled}/cancel")

    def listed(**filters: str) -> list[str]:
        return [item["id"] for item in digits.get("/v1/forget-requests", params=filters).json()["items"]]

    assert listed() == listed(model="digits") == ids
    assert listed(model="letters") == []
    assert listed(status="cancelled") == ids[:1]
    assert listed(status="queued", model="digits") == ids[1:]
    assert_problem(digits.get("/v1/forget-requests", params={"status": "lost"}), 422, "invalid-input")


def test_what_was_cancelled_may_be_asked_for_again(digits: httpx.Client) -> None:
    job = digits.post(FORGET, json={"target": {"classes": [2]}}).json()["job"]["id"]
    assert digits.post(f"/v1/jobs/{job}/cancel").status_code == 202
    assert digits.post(FORGET, json={"target": {"classes": [2]}}).status_code == 202


@pytest.fixture
def by_task(client: httpx.Client) -> httpx.Client:
    """A client of a server on which `digits` waits to learn two tasks."""
    learning = {"mode": "synaptic_intelligence", "tasks": [[0, 1], [2, 3]]}
    body = {"name": "digits", "dataset": "mnist", "learning": learning}
    assert client.post("/v1/models", json=body).status_code == 202
    return client


def test_a_task_and_a_part_of_one_are_forgotten(by_task: httpx.Client) -> None:
    part = by_task.post(FORGET, json={"target": {"tasks": [1], "classes": [3]}})
    assert (part.status_code, part.json()["target"]) == (202, {"tasks": [1], "classes": [3]})
    whole = by_task.post(FORGET, json={"target": {"tasks": [0]}})
    assert (whole.status_code, whole.json()["target"]) == (202, {"tasks": [0], "classes": [0, 1]})
    plan = by_task.post(FORGET, json={"target": {"tasks": [1]}, "dry_run": True})
    assert_problem(plan, 409, "nothing-left")
    events = by_task.get("/v1/audit/events", params={"event": "forget.requested"}).json()["items"]
    assert [event["details"]["tasks"] for event in events] == [[1], [0]]


@pytest.mark.parametrize(
    ("target", "status", "slug"),
    [
        ({"tasks": [2]}, 404, "task-not-found"),
        ({"tasks": [-1]}, 422, "invalid-input"),
        ({"tasks": []}, 422, "invalid-input"),
        ({"classes": [3]}, 422, "not-applicable"),
        ({"tasks": [0], "classes": [3]}, 404, "class-not-found"),
        ({"tasks": [0, 1], "classes": [3]}, 422, "invalid-input"),
        ({"tasks": [0], "samples": [3]}, 422, "invalid-input"),
        ({"tasks": [0, 1]}, 409, "nothing-left"),
    ],
)
def test_tasks_that_cannot_be_forgotten_are_refused(
    by_task: httpx.Client, target: dict[str, Any], status: int, slug: str
) -> None:
    assert_problem(by_task.post(FORGET, json={"target": target}), status, slug)
    assert by_task.get("/v1/forget-requests").json()["items"] == []


def test_a_task_is_forgotten_once(by_task: httpx.Client) -> None:
    by_task.post(FORGET, json={"target": {"tasks": [1]}})
    assert_problem(by_task.post(FORGET, json={"target": {"tasks": [1]}}), 409, "already-forgotten")


def test_samples_are_taken_with_the_method_that_auto_chose(digits: httpx.Client) -> None:
    body = {"target": {"samples": [3, 1]}, "reference": "none"}
    plan = digits.post(FORGET, json=body | {"dry_run": True}).json()
    assert plan["candidates"]
    answer = digits.post(FORGET, json=body)
    assert answer.status_code == 202
    request = answer.json()
    assert (request["target"], request["num_samples"], request["refusal"]) == ({"samples": [1, 3]}, 2, "none")
    assert (request["method"], request["requested_method"]) == (plan["method"], "auto")
    assert (request["reference"], request["strategy"], request["scope"]) == ("none", None, None)
    assert digits.post(FORGET, json=body).json()["type"] == "/problems/already-forgotten"
