from __future__ import annotations

from uuid import uuid4

import httpx
import pytest

from tests.real_server import StartServer, assert_problem

READER = {"name": "dashboard", "scopes": ["read", "predict", "read"]}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(admin: httpx.Client) -> None:
    created = admin.post("/v1/api-keys", json=READER)
    assert created.status_code == 201
    key = created.json()
    assert key["key"].startswith("fgt_")
    assert key["scopes"] == ["predict", "read"]
    listed = admin.get("/v1/api-keys").json()["items"]
    assert listed == [{name: value for name, value in key.items() if name != "key"}]
    assert admin.get("/v1/models", headers=bearer(key["key"])).status_code == 200

    assert admin.delete(f"/v1/api-keys/{key['id']}").status_code == 204
    assert_problem(admin.get("/v1/models", headers=bearer(key["key"])), 401, "unauthenticated")
    assert admin.get("/v1/api-keys").json()["items"][0]["revoked_at"]


def test_a_revocation_counts_at_once_for_predictions_too(admin: httpx.Client) -> None:
    key = admin.post("/v1/api-keys", json=READER).json()
    headers = bearer(key["key"]) | {"Content-Type": "application/json"}
    predict = "/v1/models/digits/predict"
    for _ in range(3):
        assert_problem(admin.post(predict, content=b"{}", headers=headers), 404, "model-not-found")
    admin.delete(f"/v1/api-keys/{key['id']}")
    assert_problem(admin.post(predict, content=b"{}", headers=headers), 401, "unauthenticated")


def test_revoking_twice_changes_and_logs_nothing(admin: httpx.Client) -> None:
    key = admin.post("/v1/api-keys", json=READER).json()
    assert admin.delete(f"/v1/api-keys/{key['id']}").status_code == 204
    first = admin.get("/v1/api-keys").json()
    assert admin.delete(f"/v1/api-keys/{key['id']}").status_code == 204
    assert admin.get("/v1/api-keys").json() == first
    revocations = admin.get("/v1/audit/events", params={"event": "api-key.revoked"}).json()["items"]
    assert len(revocations) == 1


def test_an_unknown_key_cannot_be_revoked(admin: httpx.Client) -> None:
    assert_problem(admin.delete(f"/v1/api-keys/{uuid4()}"), 404, "api-key-not-found")


def test_the_first_key_must_be_an_admins(client: httpx.Client) -> None:
    assert_problem(client.post("/v1/api-keys", json=READER), 409, "first-key-must-be-admin")
    assert client.get("/v1/api-keys").json()["items"] == []


def test_the_last_key_revoked_the_server_is_open_to_loopback_again(client: httpx.Client) -> None:
    key = client.post("/v1/api-keys", json={"name": "first", "scopes": ["admin"]}).json()
    assert_problem(client.get("/v1/models"), 401, "unauthenticated")
    assert client.delete(f"/v1/api-keys/{key['id']}", headers=bearer(key["key"])).status_code == 204
    assert client.get("/v1/models").status_code == 200


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "body", [{}, {"name": "", "scopes": ["read"]}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["root"]}]
)
def test_a_key_needs_a_name_and_known_scopes(admin: httpx.Client, body: dict[str, object]) -> None:
    assert_problem(admin.post("/v1/api-keys", json=body), 422, "invalid-input")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_keys_come_page_by_page(start_server: StartServer) -> None:
    admin = start_server(admin_key="k", key="k")
    made = [admin.post("/v1/api-keys", json=READER | {"name": f"key {n}"}).json()["id"] for n in range(5)]
    first = admin.get("/v1/api-keys", params={"limit": 3}).json()
    second = admin.get("/v1/api-keys", params={"limit": 3, "page_token": first["next_page_token"]}).json()
    assert [item["id"] for item in first["items"] + second["items"]] == made
    assert second["next_page_token"] is None
