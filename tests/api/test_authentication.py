from __future__ import annotations

import base64

import httpx
import pytest

from app.database.engine import Database
from tests.real_server import ADMIN_KEY, StartServer, assert_problem

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

OPEN = ["/healthz", "/docs", "/redoc", "/openapi.json", "/problems", "/problems/not-found", "/assets/swagger-ui.css"]
CLOSED = [
    ("GET", "/v1/models", "read"),
    ("GET", "/v1/models/digits", "read"),
    ("GET", "/v1/models/digits/versions", "read"),
    ("GET", "/v1/models/digits/versions/1/weights", "read"),
    ("GET", "/v1/datasets", "read"),
    ("GET", "/v1/architectures", "read"),
    ("GET", "/v1/methods", "read"),
    ("GET", "/v1/jobs", "read"),
    ("GET", "/v1/forget-requests", "read"),
    ("GET", "/metrics", "read"),
    ("POST", "/v1/models", "train"),
    ("POST", "/v1/models/digits/train", "train"),
    ("PUT", "/v1/models/digits/serving", "train"),
    ("POST", "/v1/models/digits/forget", "forget"),
    ("POST", "/v1/models/digits/versions/1/purge", "forget"),
    ("DELETE", "/v1/models/digits/versions/1/guard", "forget"),
    ("POST", "/v1/models/digits/predict", "predict"),
    ("POST", "/v1/models/digits/versions/1/predict", "predict"),
    ("GET", "/v1/audit/events", "audit"),
    ("GET", "/v1/audit/verify", "audit"),
    ("GET", "/v1/api-keys", "admin"),
    ("POST", "/v1/api-keys", "admin"),
    ("DELETE", "/v1/models/digits", "admin"),
]
SCOPES = ["read", "predict", "train", "forget", "audit", "admin"]


def create_key(admin: httpx.Client, *scopes: str) -> dict[str, str]:
    answer = admin.post("/v1/api-keys", json={"name": "a test", "scopes": scopes})
    assert answer.status_code == 201, answer.text
    created: dict[str, str] = answer.json()
    return created


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", OPEN)
def test_what_is_open_asks_for_no_key(start_server: StartServer, path: str) -> None:
    assert start_server(admin_key=ADMIN_KEY).get(path).status_code == 200


def test_everything_else_asks_for_a_key(start_server: StartServer) -> None:
    client = start_server(admin_key=ADMIN_KEY)
    for method, path, _ in CLOSED:
        for headers in ({}, bearer("wrong"), bearer(ADMIN_KEY + "x"), bearer("é"), {"Authorization": ADMIN_KEY}):
            sent = {name.encode(): value.encode() for name, value in headers.items()}
            response = client.request(method, path, headers=sent)
            assert_problem(response, 401, "unauthenticated")
            assert response.headers["www-authenticate"].startswith("Bearer")


def test_other_schemes_do_not_open_the_door(start_server: StartServer) -> None:
    client = start_server(admin_key=ADMIN_KEY)
    basic = base64.b64encode(f"admin:{ADMIN_KEY}".encode()).decode()
    assert_problem(client.get("/v1/models", headers={"Authorization": f"Basic {basic}"}), 401, "unauthenticated")


def test_a_key_opens_what_its_scope_says_and_nothing_else(admin: httpx.Client) -> None:
    keys = {scope: create_key(admin, scope)["key"] for scope in SCOPES}
    for method, path, needed in CLOSED:
        for scope, key in keys.items():
            response = admin.request(method, path, headers=bearer(key))
            if scope in {needed, "admin"}:
                assert response.status_code not in {401, 403}, (scope, path)
            else:
                problem = assert_problem(response, 403, "missing-scope")
                accepted = " or ".join(f'"{name}"' for name in dict.fromkeys([needed, "admin"]))
                assert problem["detail"].endswith(f"with the scope {accepted}")


def test_the_actor_in_the_log_is_who_asked(admin: httpx.Client) -> None:
    created = create_key(admin, "admin")
    second = admin.post("/v1/api-keys", json={"name": "x", "scopes": ["read"]}, headers=bearer(created["key"])).json()
    events = admin.get("/v1/audit/events", params={"event": "api-key.created"}).json()["items"]
    assert [event["actor"] for event in events] == ["admin", f"key:{created['id']}"]
    assert [event["details"]["key"] for event in events] == [created["id"], second["id"]]


LOOPBACK = ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:8000"]
FOREIGN = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1",
    "[fe80::1]",
    "0.0.0.0",
    "localhost:8000@evil.example",
    "",
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_without_keys_loopback_names_are_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_without_keys_other_names_are_refused(client: httpx.Client, host: str) -> None:
    assert_problem(client.get("/v1/models", headers={"Host": host}), 403, "foreign-host")
    response = client.post("/v1/models/digits/predict", content=b"{}", headers={"Host": host})
    assert_problem(response, 403, "foreign-host")


@pytest.mark.parametrize(
    "origin",
    ["http://[", "https://evil.example", "http://localhost:3000", "null", "http://127.0.0.1", "http://evil.example:80"],
)
def test_without_keys_pages_of_other_origins_are_refused(client: httpx.Client, origin: str) -> None:
    response = client.post("/v1/models", json={"name": "x", "dataset": "mnist"}, headers={"Origin": origin})
    assert_problem(response, 403, "foreign-origin")


def test_without_keys_the_servers_own_pages_are_answered(client: httpx.Client) -> None:
    origin = str(client.base_url).rstrip("/")
    assert client.get("/v1/models", headers={"Origin": origin}).status_code == 200
    other_scheme = client.get("/v1/models", headers={"Origin": origin.replace("http:", "https:")})
    assert_problem(other_scheme, 403, "foreign-origin")


def test_with_a_key_host_and_origin_do_not_matter(admin: httpx.Client) -> None:
    headers = {"Host": "forgettery.example", "Origin": "https://dashboard.example"}
    assert admin.get("/v1/models", headers=headers).status_code == 200


def test_a_wrong_key_is_refused_even_where_none_is_needed(client: httpx.Client) -> None:
    assert_problem(client.get("/v1/models", headers=bearer("wrong")), 401, "unauthenticated")


def test_a_server_that_others_can_reach_is_never_open(start_server: StartServer) -> None:
    client = start_server(host="0.0.0.0")
    assert_problem(client.get("/v1/models", headers={"Host": "localhost"}), 401, "unauthenticated")


def test_the_time_without_keys_ends_with_the_first_key_also_for_predictions(client: httpx.Client) -> None:
    predict = "/v1/models/digits/predict"
    json_type = {"Content-Type": "application/json"}
    assert_problem(client.post(predict, content=b"{}", headers=json_type), 404, "model-not-found")
    create_key(client, "admin")
    assert_problem(client.post(predict, content=b"{}", headers=json_type), 401, "unauthenticated")
    assert_problem(client.get("/v1/models"), 401, "unauthenticated")


def test_other_servers_follow_at_once_for_everything_but_predictions(start_server: StartServer) -> None:
    first, second = start_server(), start_server()
    assert second.get("/v1/models").status_code == 200
    key = create_key(first, "admin")["key"]
    assert_problem(second.get("/v1/models"), 401, "unauthenticated")
    assert second.get("/v1/models", headers=bearer(key)).status_code == 200


def test_the_secret_of_a_key_is_stored_nowhere(admin: httpx.Client, database: Database) -> None:
    key = create_key(admin, "read")["key"]
    assert admin.get("/v1/models", headers=bearer(key)).status_code == 200
    folder = database.engine.url.database
    assert folder
    with open(folder, "rb") as file, open(f"{folder}-wal", "rb") as journal:  # noqa: PTH123
        assert key.encode() not in file.read() + journal.read()
