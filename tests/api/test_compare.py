from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import update

from app.contract.jobs import Job
from app.database.engine import Database
from app.database.tables import JobRow
from app.settings import Settings
from tests.real_server import assert_problem
from tests.stored_versions import record_model, record_version, store_version

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

COMPARE = "/v1/models/digits/compare"
FIGURES: dict[str, Any] = {
    "forget_accuracy": 0.0,
    "retain_accuracy": 0.99,
    "test_accuracy": 0.98,
    "refusal_rate": 0.2,
    "false_refusal_rate": 0.003,
    "probe_gap": 0.02,
    "mia_gap": 0.01,
    "seconds": 3.0,
    "ratio_to_retraining": 0.2,
}
ROW = FIGURES | {
    "method": "euk",
    "parameters": {},
    "refusal": "none",
    "verdict": "passed",
    "claim": "edited",
    "problem": None,
}
RESULT = {
    "target": {"classes": [2]},
    "num_samples": 0,
    "version": 1,
    "rows": [ROW],
    "original": FIGURES,
    "retrained": FIGURES,
}


@pytest.fixture
def digits(client: httpx.Client, database: Database, settings: Settings) -> httpx.Client:
    """A client of a server with the model `digits`, of which a version serves."""
    record_version(database, record_model(database), store_version(settings.home))
    return client


def compared(client: httpx.Client) -> Job:
    response = client.post(COMPARE, json={"target": {"classes": [2]}, "methods": [{"method": "euk"}]})
    assert response.status_code == 202, response.text
    return Job.model_validate_json(response.content)


def test_a_comparison_is_answered_with_its_job(digits: httpx.Client) -> None:
    job = compared(digits)
    assert (job.kind, job.status) == ("compare", "queued")
    assert digits.get(f"/v1/jobs/{job.id}").json() == job.model_dump(mode="json")
    assert digits.post(f"/v1/jobs/{job.id}/cancel").json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"target": {"classes": [2]}, "methods": [{"method": "amnesia"}]}, 422, "invalid-input"),
        ({"target": {"classes": [2]}, "methods": []}, 422, "invalid-input"),
        ({"target": {"classes": [2]}, "num_references": 0}, 422, "invalid-input"),
        ({"target": {"classes": [2]}, "methods": [{"method": "ssd", "parameters": {"x": 1}}]}, 422, "invalid-input"),
        ({"target": {"samples": [2]}, "methods": [{"method": "ssd"}]}, 422, "not-applicable"),
        ({"target": {"classes": [2]}, "methods": [{"method": "sisa"}]}, 422, "not-applicable"),
        ({"target": {"classes": [10]}}, 404, "class-not-found"),
        ({}, 422, "invalid-input"),
    ],
)
def test_what_cannot_be_compared_is_refused(digits: httpx.Client, body: dict[str, Any], status: int, slug: str) -> None:
    assert_problem(digits.post(COMPARE, json=body), status, slug)
    assert digits.get("/v1/jobs").json()["items"] == []


def test_a_model_without_a_version_has_nothing_to_compare(client: httpx.Client, database: Database) -> None:
    record_model(database)
    assert_problem(client.post(COMPARE, json={"target": {"classes": [2]}}), 409, "no-serving-version")


def test_the_plot_of_a_comparison_is_an_svg_and_a_png(digits: httpx.Client, database: Database) -> None:
    job = compared(digits)
    with database.writing() as session:
        session.execute(update(JobRow).where(JobRow.id == job.id).values(status="succeeded", result=RESULT))
    svg = digits.get(f"/v1/jobs/{job.id}/plot.svg")
    assert (svg.status_code, svg.headers["content-type"].partition(";")[0]) == (200, "image/svg+xml")
    assert all(label in svg.text for label in ("euk", "original", "retrained", "Forgetting against utility"))
    png = digits.get(f"/v1/jobs/{job.id}/plot.png")
    assert (png.headers["content-type"], png.content[:4]) == ("image/png", b"\x89PNG")


def test_only_comparisons_that_succeeded_have_a_plot(digits: httpx.Client) -> None:
    job = compared(digits)
    assert_problem(digits.get(f"/v1/jobs/{job.id}/plot.svg"), 409, "conflict")
    assert_problem(digits.get(f"/v1/jobs/{uuid4()}/plot.png"), 404, "job-not-found")
    trained = digits.post("/v1/models", json={"name": "others", "dataset": "mnist"}).json()["job"]["id"]
    assert_problem(digits.get(f"/v1/jobs/{trained}/plot.svg"), 404, "job-not-found")
