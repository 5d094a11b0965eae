from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.real_server import ADMIN_KEY, StartServer, assert_problem

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


def create(client: httpx.Client, *scopes: str, key: str = "") -> dict[str, str]:
    answer = client.post("/v1/api-keys", json={"name": "a key", "scopes": scopes}, headers=bearer(key) if key else {})
    assert answer.status_code == 201, answer.text
    created: dict[str, str] = answer.json()
    return created


def revoke(client: httpx.Client, gone: dict[str, str], key: str) -> httpx.Response:
    return client.delete(f"/v1/api-keys/{gone['id']}", headers=bearer(key))


def test_the_last_admin_key_cannot_be_revoked_while_others_can(client: httpx.Client) -> None:
    first = create(client, "admin")
    reader = create(client, "read", key=first["key"])
    problem = assert_problem(revoke(client, first, first["key"]), 409, "last-admin-key")
    assert "FORGETTERY_ADMIN_KEY" in problem["detail"]
    assert revoke(client, reader, first["key"]).status_code == 204

    second = create(client, "admin", "read", key=first["key"])
    assert revoke(client, first, first["key"]).status_code == 204
    assert revoke(client, first, second["key"]).status_code == 204, "it was revoked before"
    assert_problem(revoke(client, second, second["key"]), 409, "last-admin-key")
    revocations = client.get("/v1/audit/events?event=api-key.revoked", headers=bearer(second["key"])).json()["items"]
    assert [event["details"]["key"] for event in revocations] == [reader["id"], first["id"]]


def test_once_a_key_existed_a_server_whose_keys_are_all_revoked_lets_nobody_in(start_server: StartServer) -> None:
    admin = start_server(admin_key=ADMIN_KEY, key=ADMIN_KEY)
    assert revoke(admin, create(admin, "admin"), ADMIN_KEY).status_code == 204
    without = start_server()
    for path in ("/v1/models", "/v1/api-keys"):
        assert "FORGETTERY_ADMIN_KEY" in assert_problem(without.get(path), 401, "unauthenticated")["detail"]
    assert_problem(without.post("/v1/api-keys", json={"name": "x", "scopes": ["admin"]}), 401, "unauthenticated")
    assert admin.get("/v1/models").status_code == 200


def test_of_two_admin_keys_that_are_revoked_at_once_one_stays(client: httpx.Client) -> None:
    first = create(client, "admin")
    for _ in range(5):
        second = create(client, "admin", key=first["key"])
        barrier = threading.Barrier(2)

        def revoke_itself(key: dict[str, str], barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return revoke(client, key, key["key"]).status_code

        with ThreadPoolExecutor() as pool:
            outcomes = dict(zip(("first", "second"), pool.map(revoke_itself, [first, second]), strict=True))
        assert sorted(outcomes.values()) == [204, 409]
        first = first if outcomes["first"] == 409 else second


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
