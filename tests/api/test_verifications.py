from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from app.contract.models import Forgotten
from app.contract.verifying import Verification
from app.database.engine import Database
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, VersionRow
from tests.real_server import assert_problem
from tests.stored_versions import METRICS

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

VERIFY = "/v1/models/digits/versions/{}/verify"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def digits(client: httpx.Client, database: Database) -> httpx.Client:
    """A client of a server whose `digits` has version 2, which has forgotten, and version 1, which is quarantined."""
    assert client.post("/v1/models", json={"name": "digits", "dataset": "mnist"}).status_code == 202
    asked = client.post("/v1/models/digits/forget", json={"target": {"classes": [2]}}).json()
    with database.writing() as session:
        model = session.scalars(select(ModelRow)).one()
        request = session.get_one(ForgetRequestRow, UUID(asked["id"]))
        request.status, request.version, request.parent_version = "completed", 2, 1
        session.add_all([_version(model, 1, "quarantined"), _version(model, 2, "available")])
        model.serving_version = 2
    return client


def _version(model: ModelRow, number: int, state: str) -> VersionRow:
    return VersionRow(
        model_id=model.id,
        number=number,
        state=state,
        origin="trained",
        digest=DIGEST,
        manifest_digest=DIGEST,
        forgotten=Forgotten(),
        metrics=METRICS,
        manifest={"learning": {"mode": "standard", "tasks": []}},
        created_at=datetime.now(UTC),
    )


def test_a_verification_is_answered_with_its_job_and_its_defaults(digits: httpx.Client) -> None:
    response = digits.post(VERIFY.format(2), json={})
    assert response.status_code == 202
    found = Verification.model_validate_json(response.content)
    assert response.headers["location"] == f"/v1/jobs/{found.job.id}"
    assert (found.depth, found.status, found.version, found.job.kind) == ("deep", "queued", 2, "verify")
    assert digits.get(f"/v1/verifications/{found.id}").json() == response.json()
    kinds = [job["kind"] for job in digits.get("/v1/jobs").json()["items"]]
    assert kinds == ["train", "forget", "reference", "reference", "reference", "verify"]


@pytest.mark.parametrize(("sent", "kept"), [({}, False), ({"repeat": None}, False), ({"repeat": True}, True)])
def test_a_method_is_repeated_only_where_that_is_asked_for(
    digits: httpx.Client, database: Database, sent: dict[str, Any], *, kept: bool
) -> None:
    response = digits.post(VERIFY.format(2), json={"depth": "fast", "reference": "none"} | sent)
    with database.reading() as session:
        job = session.scalars(select(JobRow).filter_by(id=UUID(response.json()["job"]["id"]))).one()
    assert job.spec["repeat"] is kept


def test_the_same_key_starts_one_verification(digits: httpx.Client) -> None:
    headers = {"Idempotency-Key": "once"}
    first, second = (digits.post(VERIFY.format(2), json={"depth": "fast"}, headers=headers) for _ in range(2))
    assert first.json() == second.json()
    assert len(digits.get("/v1/verifications").json()["items"]) == 1


def test_verifications_are_filtered(digits: httpx.Client) -> None:
    found = digits.post(VERIFY.format(2), json={"depth": "fast", "reference": "none"}).json()
    for matching in ("model=digits", "version=2", "depth=fast", f"forget_request={found['forget_request']}"):
        assert len(digits.get(f"/v1/verifications?{matching}").json()["items"]) == 1
    for other in ("model=others", "version=1", "depth=deep", f"forget_request={uuid4()}"):
        assert digits.get(f"/v1/verifications?{other}").json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"depth": "deepest"},
        {"num_references": 0},
        {"num_references": 11},
        {"num_references": "2"},
        {"reference": "later"},
        {"forget_request": "17"},
        {"seed": -1},
        {"repeat": "yes"},
        {"sead": 1},
    ],
)
def test_a_body_that_makes_no_sense_is_refused_with_a_pointer(digits: httpx.Client, body: dict[str, Any]) -> None:
    problem = assert_problem(digits.post(VERIFY.format(2), json=body), 422, "invalid-input")
    assert [fault["pointer"] for fault in problem["errors"]] == [f"/{next(iter(body))}"]


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        (VERIFY.format(1), 410, "version-gone"),
        (VERIFY.format(3), 404, "version-not-found"),
        ("/v1/models/nobody/versions/1/verify", 404, "model-not-found"),
    ],
)
def test_what_cannot_be_verified_is_said_at_once(digits: httpx.Client, path: str, status: int, slug: str) -> None:
    assert_problem(digits.post(path, json={}), status, slug)


def test_a_request_of_another_model_is_not_found(digits: httpx.Client) -> None:
    body = {"forget_request": str(uuid4())}
    assert_problem(digits.post(VERIFY.format(2), json=body), 404, "forget-request-not-found")


def test_a_version_that_forgot_nothing_is_a_conflict(digits: httpx.Client, database: Database) -> None:
    with database.writing() as session:
        session.scalars(select(ForgetRequestRow)).one().status = "failed"
    assert_problem(digits.post(VERIFY.format(2), json={}), 409, "nothing-forgotten")


def test_an_unknown_verification_is_not_found(client: httpx.Client) -> None:
    assert_problem(client.get(f"/v1/verifications/{uuid4()}"), 404, "verification-not-found")


def test_verifying_needs_the_scope_to_forget(admin: httpx.Client) -> None:
    key = admin.post("/v1/api-keys", json={"name": "reader", "scopes": ["read"]}).json()["key"]
    headers = {"Authorization": f"Bearer {key}"}
    assert_problem(admin.post(VERIFY.format(2), json={}, headers=headers), 403, "missing-scope")
    assert admin.get("/v1/verifications", headers=headers).status_code == 200
