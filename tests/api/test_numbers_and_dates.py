"""No number and no date is too wide for the column that it meets, on either database."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from app.database.engine import Database
from app.settings import Settings
from tests.real_server import assert_problem
from tests.stored_versions import record_model, record_version, store_version

WIDE = [2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, -(2**31) - 1, -(2**63) - 1]
FAR = ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"]
LISTS = [
    "/v1/models",
    "/v1/models/digits/versions",
    "/v1/jobs",
    "/v1/forget-requests",
    "/v1/verifications",
    "/v1/audit/events",
    "/v1/api-keys",
]


@pytest.fixture
def served(client: httpx.Client, settings: Settings, database: Database) -> httpx.Client:
    """A client of a server whose lists have two items, as far as they can be made without a worker."""
    model_id = record_model(database)
    for number in (1, 2):
        record_version(database, model_id, store_version(settings.home, number=number))
        assert client.post("/v1/models/digits/forget", json={"target": {"classes": [number]}}).status_code == 202
    client.post("/v1/models", json={"name": "other", "dataset": "mnist"})
    key = client.post("/v1/api-keys", json={"name": "x", "scopes": ["admin"]}).json()["key"]
    client.headers["Authorization"] = f"Bearer {key}"
    client.post("/v1/api-keys", json={"name": "y", "scopes": ["read"]})
    return client


def test_a_version_to_serve_is_a_number_that_a_version_can_have(served: httpx.Client) -> None:
    for number in WIDE:
        response = served.put("/v1/models/digits/serving", json={"version": number})
        problem = assert_problem(response, 422, "invalid-input")
        assert [fault["pointer"] for fault in problem["errors"]] == ["/version"]
    response = served.put("/v1/models/digits/serving", json={"version": 2**31 - 1})
    assert_problem(response, 404, "version-not-found")


def test_numbers_in_requests_are_never_too_wide(served: httpx.Client) -> None:
    for number in WIDE:
        for body in ({"classes": [number]}, {"tasks": [number]}, {"samples": [number]}):
            response = served.post("/v1/models/digits/forget", json={"target": body})
            assert response.status_code in {404, 422}, response.text
        for path in ("/v1/models/digits/forget", "/v1/models/digits/compare"):
            response = served.post(path, json={"target": {"classes": [0]}, "seed": number, "dry_run": True})
            assert response.status_code in {200, 422}, response.text
        assert served.get(f"/v1/models/digits/versions/{number}").status_code == 404
        assert_problem(served.get("/v1/verifications", params={"version": number}), 422, "invalid-input")
        assert served.get("/v1/jobs", params={"limit": number}).status_code == 422


@pytest.mark.parametrize("path", LISTS)
def test_a_page_token_with_any_number_or_date_is_taken_or_refused(served: httpx.Client, path: str) -> None:
    token = served.get(path, params={"limit": 1}).json()["next_page_token"]
    if token is None:
        assert path == "/v1/verifications"
        return
    read = json.loads(base64.urlsafe_b64decode(token))
    for position in range(len(read["after"])):
        values: list[Any] = [*WIDE, *FAR, "x", None, [], {}, 1.5, True, "\x00"]
        for value in values:
            after: list[Any] = list(read["after"])
            after[position] = value
            forged = base64.urlsafe_b64encode(json.dumps(read | {"after": after}).encode()).decode()
            response = served.get(path, params={"limit": 1, "page_token": forged})
            if response.status_code != 200:
                assert_problem(response, 422, "invalid-page-token")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_version_has_one_address(served: httpx.Client) -> None:
    assert served.get("/v1/models/digits/versions/1").status_code == 200
    for number in ("1.0", "+1", "1_0", "%201", "1e0", "-1", "\u0661"):
        response = served.get(f"/v1/models/digits/versions/{number}")
        assert response.json()["type"] == "/problems/version-not-found"
    for limit in ("1.0", "+1", "1_0"):
        assert_problem(served.get("/v1/jobs", params={"limit": limit}), 422, "invalid-input")
