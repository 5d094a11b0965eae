from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from app.database.engine import Database
from app.main import create_app
from app.settings import Settings
from tests.real_server import ADMIN_KEY, StartServer, assert_problem
from tests.stored_versions import record_model, record_version, store_version

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

MODEL = {"name": "new", "dataset": "mnist"}
TARGET = {"target": {"classes": [1]}}
VERIFY = "/v1/models/digits/versions/1/verify"
ROUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/models", MODEL),
    ("POST", "/v1/models/digits/train", {"classes": [1]}),
    ("PUT", "/v1/models/digits/serving", {"version": 1}),
    ("POST", "/v1/models/digits/forget", TARGET),
    ("POST", "/v1/models/digits/compare", {"target": {"classes": [2]}}),
    ("POST", VERIFY, {"depth": "fast"}),
    ("POST", "/v1/api-keys", {"name": "x", "scopes": ["admin"]}),
]
MALFORMED = [b"{", b"", b"\xff", b"[]", b'{"no_such": 1}']
JSON_TYPE = {"Content-Type": "application/json"}


@pytest.fixture
def model(settings: Settings, database: Database) -> None:
    record_version(database, record_model(database), store_version(settings.home))


def test_these_are_all_the_routes_with_such_a_body(settings: Settings) -> None:
    published = create_app(settings).openapi()["paths"]
    with_body = {
        (method.upper(), path.replace("{model}", "digits").replace("{number}", "1"))
        for path, operations in published.items()
        for method, operation in operations.items()
        if list(operation.get("requestBody", {}).get("content", {})) == ["application/json"]
    }
    assert {(method, path) for method, path, _ in ROUTES} == with_body


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/vnd.forgettery+json"])
def test_a_body_in_json_is_taken(client: httpx.Client, model: None, media_type: str) -> None:
    for method, path, body in ROUTES:
        response = client.request(method, path, content=json.dumps(body), headers={"Content-Type": media_type})
        if path == VERIFY:  # read, and held against a version that has forgotten nothing
            assert_problem(response, 409, "nothing-forgotten")
        else:
            assert response.is_success, response.text


def test_who_has_no_key_learns_nothing_of_a_body(start_server: StartServer) -> None:
    client = start_server(admin_key=ADMIN_KEY)
    for method, path, _ in ROUTES:
        for content in MALFORMED:
            assert_problem(client.request(method, path, content=content, headers=JSON_TYPE), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("header", "slug"),
    [({"Host": "evil.example"}, "foreign-host"), ({"Origin": "https://evil.example"}, "foreign-origin")],
)
def test_without_keys_host_and_origin_come_before_the_body(
    client: httpx.Client, header: dict[str, str], slug: str
) -> None:
    for method, path, _ in ROUTES:
        for content in MALFORMED:
            assert_problem(client.request(method, path, content=content, headers=JSON_TYPE | header), 403, slug)


def test_what_is_no_json_is_unreadable(client: httpx.Client) -> None:
    for method, path, _ in ROUTES:
        for content in (b"{", b"", b"\xff", b"[" * 100_000, b'{"name": "\\ud800"}', b"1" * 5000, b"{}{}"):
            response = client.request(method, path, content=content, headers=JSON_TYPE)
            assert_problem(response, 422, "unreadable-input")


def test_a_body_that_a_form_of_any_page_can_send_is_not_read(client: httpx.Client) -> None:
    for method, path, body in ROUTES:
        for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            headers = {"Content-Type": media_type}
            response = client.request(method, path, content=json.dumps(body), headers=headers)
            assert_problem(response, 422, "unreadable-input")


def test_an_unknown_field_is_named(client: httpx.Client) -> None:
    for method, path, body in ROUTES:
        problem = assert_problem(client.request(method, path, json=body | {"no_such": 1}), 422, "invalid-input")
        assert [fault["pointer"] for fault in problem["errors"]] == ["/no_such"]


def test_a_body_is_an_object(client: httpx.Client) -> None:
    for method, path, _ in ROUTES:
        for content in (b"[]", b'"text"', b"1", b"null"):
            response = client.request(method, path, content=content, headers=JSON_TYPE)
            problem = assert_problem(response, 422, "invalid-input")
            assert [fault["pointer"] for fault in problem["errors"]] == [""]


def nested(pointer: str, value: Any) -> Any:
    for part in reversed(pointer.split("/")[1:]):
        value = [value] if part == "0" else {part: value}
    if "architecture" in value:
        value["architecture"]["type"] = "mlp"
    return value


REQUIRED = ["1", True, 1.0, None]
"""Where nothing can be left out, or in a list."""
NUMBERS = ["1", True, 1.0]
BOOLEANS = ["true", 1, 0]
LENIENT = [
    *(("/v1/models", f"/training/{name}", value) for name in ("epochs", "batch_size", "seed") for value in NUMBERS),
    *(("/v1/models", "/training/learning_rate", value) for value in ("0.1", True)),
    *(("/v1/models", "/architecture/hidden/0", value) for value in REQUIRED),
    *(("/v1/models", "/dataset", value) for value in (1, True, None)),
    *(("/v1/models/digits/train", "/classes/0", value) for value in REQUIRED),
    *(("/v1/models/digits/train", "/tasks/0/0", value) for value in REQUIRED),
    *(("/v1/models/digits/train", "/training/epochs", value) for value in NUMBERS),
    *(("/v1/models/digits/train", f"/{name}", value) for name in ("from_scratch", "serve") for value in BOOLEANS),
    *(("/v1/models/digits/serving", "/version", value) for value in REQUIRED),
    *(
        ("/v1/models/digits/forget", f"/target/{name}/0", value)
        for name in ("classes", "tasks", "samples")
        for value in REQUIRED
    ),
    *(("/v1/models/digits/forget", "/seed", value) for value in NUMBERS),
    *(("/v1/models/digits/forget", "/parameters/push_steps", value) for value in NUMBERS),
    *(("/v1/models/digits/forget", "/parameters/share", value) for value in ("0.1", True)),
    *(("/v1/models/digits/forget", "/dry_run", value) for value in BOOLEANS),
    ("/v1/models/digits/forget", "/reason", 17),
    *(
        (path, f"/{name}", value)
        for path in ("/v1/models/digits/compare", VERIFY)
        for name in ("num_references", "seed")
        for value in NUMBERS
    ),
    *(("/v1/models/digits/compare", "/target/classes/0", value) for value in REQUIRED),
    (VERIFY, "/depth", 1),
    ("/v1/api-keys", "/name", 17),
    ("/v1/api-keys", "/scopes/0", True),
]


def test_values_of_another_type_are_never_converted(client: httpx.Client, model: None) -> None:
    methods = {path: (method, body) for method, path, body in ROUTES}
    for path, pointer, value in LENIENT:
        method, body = methods[path]
        sent = body | nested(pointer, value)
        problem = assert_problem(client.request(method, path, json=sent), 422, "invalid-input")
        assert [fault["pointer"] for fault in problem["errors"]] == [pointer], (pointer, value)
    assert client.get("/v1/jobs").json()["items"] == []


def test_integers_are_numbers_and_lists_are_tuples(client: httpx.Client) -> None:
    body = MODEL | {
        "architecture": {"type": "cnn", "channels": [4, 8], "hidden": 16},
        "training": {"learning_rate": 1, "momentum": 0, "weight_decay": 0},
    }
    created = client.post("/v1/models", json=body).json()["model"]
    assert created["architecture"]["channels"] == [4, 8]
    assert created["training"]["learning_rate"] == 1.0


def test_nan_and_infinity_are_no_numbers(client: httpx.Client) -> None:
    for number in ("NaN", "Infinity", "-Infinity", "1e999"):
        content = json.dumps(MODEL)[:-1] + f', "training": {{"learning_rate": {number}}}}}'
        response = client.post("/v1/models", content=content, headers=JSON_TYPE)
        assert response.status_code == 422
        assert number not in response.json()["detail"]


@pytest.mark.parametrize(
    "content",
    [
        b'{"target": {"samples": [' + b"null," * 200_000 + b"1]}}",
        b"{" + b",".join(b'"%d":null' % number for number in range(2000)) + b"}",
    ],
)
def test_a_body_of_more_parts_than_any_request_has_is_not_read(client: httpx.Client, content: bytes) -> None:
    for method, path, _ in ROUTES:
        response = client.request(method, path, content=content, headers=JSON_TYPE)
        assert_problem(response, 413, "payload-too-large")


def many(item: bytes) -> bytes:
    return b"[" + b",".join([item] * 100_000) + b"]"


HOSTILE = {
    "lists as the target": b'{"target": ' + many(b"[]") + b"}",
    "nested lists as the target": b'{"target": ' + many(b"[[[[]]]]") + b"}",
    "objects as samples": b'{"target": {"samples": ' + many(b"{}") + b"}}",
    "lists as classes": b'{"classes": ' + many(b"[]") + b"}",
    "lists as scopes": b'{"scopes": ' + many(b"[]") + b"}",
    "lists in the place of an object": many(b"[]"),
    "deep lists in one list": b"[" + b",".join([b"[" * 100 + b"]" * 100] * 100) + b"]",
    "a text of 3 million letters": b'{"reason": "' + b"x" * 3_000_000 + b'"}',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_takes_long_to_parse_is_refused_before_that(client: httpx.Client, model: None, content: bytes) -> None:
    for method, path, _ in ROUTES:
        response = client.request(method, path, content=content, headers=JSON_TYPE | {"Idempotency-Key": "one"})
        assert "bytes" in assert_problem(response, 413, "payload-too-large")["detail"]


def test_only_a_request_that_names_samples_may_be_long(client: httpx.Client, model: None) -> None:
    long = b'{"no_such": "' + b"x" * 300_000 + b'"}'
    for method, path, _ in ROUTES:
        names_samples = path.endswith(("/forget", "/compare"))
        expected = (422, "invalid-input") if names_samples else (413, "payload-too-large")
        assert_problem(client.request(method, path, content=long, headers=JSON_TYPE), *expected)


def test_blanks_around_a_body_do_not_count(client: httpx.Client, model: None) -> None:
    around = b" \t\r\n" * 500_000 + json.dumps({"classes": [1]}).encode() + b"\n" * 500_000
    response = client.post("/v1/models/digits/train", content=around, headers=JSON_TYPE)
    assert response.status_code == 202, response.text


def test_what_is_no_request_has_no_order_that_a_retry_could_change(client: httpx.Client, model: None) -> None:
    """A job is cancelled without a body: one that is sent all the same is not parsed beyond the bounds."""
    job = client.post("/v1/models/digits/train", json={"classes": [1]}).json()["job"]["id"]
    for _ in range(2):
        response = client.post(
            f"/v1/jobs/{job}/cancel", content=many(b"[[[[]]]]"), headers=JSON_TYPE | {"Idempotency-Key": "two"}
        )
        assert response.is_success, response.text
    other = many(b"[[[{}]]]")
    response = client.post(f"/v1/jobs/{job}/cancel", content=other, headers=JSON_TYPE | {"Idempotency-Key": "two"})
    assert_problem(response, 422, "idempotency-key-reused")


@pytest.mark.parametrize("faulty", [{"target": {"classes": [None] * 9000}}, {"target": {"samples": [None] * 9000}}])
def test_of_a_list_the_first_fault_is_enough(client: httpx.Client, faulty: dict[str, Any]) -> None:
    problem = assert_problem(client.post("/v1/models/digits/forget", json=faulty), 422, "invalid-input")
    assert [fault["pointer"].rpartition("/")[2] for fault in problem["errors"]] == ["0"]


def test_a_name_given_twice_is_refused(client: httpx.Client, model: None) -> None:
    for method, path, body in ROUTES:
        name, value = next(iter(body.items()))
        twice = json.dumps(body)[:-1] + f', "{name}": {json.dumps(value)}}}'
        response = client.request(method, path, content=twice, headers=JSON_TYPE)
        assert "twice" in assert_problem(response, 422, "unreadable-input")["detail"]
    nested_twice = b'{"target": {"classes": [1], "classes": [2]}}'
    response = client.post("/v1/models/digits/forget", content=nested_twice, headers=JSON_TYPE)
    assert_problem(response, 422, "unreadable-input")


@pytest.mark.parametrize("kind", ["classes", "tasks", "samples"])
def test_what_is_to_be_forgotten_is_named_once(client: httpx.Client, model: None, kind: str) -> None:
    for path in ("forget", "compare"):
        response = client.post(f"/v1/models/digits/{path}", json={"target": {kind: [1, 1]}})
        problem = assert_problem(response, 422, "invalid-input")
        assert all(fault["pointer"].startswith(f"/target/{kind}") for fault in problem["errors"])
