from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.database.engine import Database
from app.errors import errors_by_slug
from tests.real_server import StartServer, assert_problem

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

SECRET = "marker-b51c0f"


def test_an_unknown_path_is_a_problem(client: httpx.Client) -> None:
    assert_problem(client.get("/nowhere"), 404, "not-found")
    assert_problem(client.get("/v1/models/"), 404, "not-found")


def test_a_wrong_method_is_a_problem_that_lists_the_right_ones(client: httpx.Client) -> None:
    for path, allowed in [
        ("/v1/audit/verify", "GET"),
        ("/v1/models", "GET, POST"),
        ("/v1/models/digits", "DELETE, GET"),
        ("/v1/api-keys", "GET, POST"),
        ("/v1/models/digits/serving", "PUT"),
        ("/assets/swagger-ui.css", "GET, HEAD"),
    ]:
        response = client.patch(path)
        assert_problem(response, 405, "method-not-allowed")
        assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    "sent", [b"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n"]
)
def test_what_is_no_http_request_is_a_problem(client: httpx.Client, sent: bytes) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as connection:
        connection.sendall(sent)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/problem+json"
        problem = json.loads(answer.read())
        assert problem["type"] == "/problems/malformed-request"
        assert problem["status"] == 400
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/v1/models/UPPER", "model-not-found"),
        ("/v1/models/digits%0A", "model-not-found"),
        ("/v1/models/digits/versions/0", "version-not-found"),
        ("/v1/models/digits/versions/two", "version-not-found"),
        ("/v1/models/digits/versions/99999999999999999999", "version-not-found"),
        ("/v1/jobs/17", "job-not-found"),
        ("/v1/forget-requests/17", "forget-request-not-found"),
        (f"/v1/datasets/{'x' * 101}", "dataset-not-found"),
    ],
)
def test_a_path_that_no_resource_can_have_is_404_not_422(client: httpx.Client, path: str, slug: str) -> None:
    assert_problem(client.get(path), 404, slug)


@pytest.mark.parametrize(
    "body",
    [b"{", b"[" * 100_000, b'{"name": "digits", "dataset": \xff}', b"1" * 5000, b'{"name": "digits"', b"\x00"],
    ids=["unclosed", "nested too deeply", "not UTF-8", "a huge number", "truncated", "a zero byte"],
)
def test_a_malformed_body_is_422(client: httpx.Client, body: bytes) -> None:
    response = client.post("/v1/models", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_every_fault_of_a_body_has_its_pointer_and_a_sentence(client: httpx.Client) -> None:
    body = {
        "name": "UPPER",
        "architecture": {"type": "mlp", "hidden": [64, 0]},
        "training": {"epochs": 0, "optimizer": "adamw", "learnin_rate": 0.1},
    }
    problem = assert_problem(client.post("/v1/models", json=body), 422, "invalid-input")
    assert {fault["pointer"] for fault in problem["errors"]} == {
        "/name",
        "/dataset",
        "/architecture/hidden/1",
        "/training/epochs",
        "/training/optimizer",
        "/training/learnin_rate",
    }
    assert all(fault["detail"] for fault in problem["errors"])


@pytest.mark.parametrize(
    "change",
    [
        {"name": SECRET.upper()},
        {"dataset": {"x": SECRET}},
        {"architecture": {"type": SECRET}},
        {"architecture": {"type": "mlp", "hidden": [SECRET]}},
        {"learning": {"mode": SECRET}},
        {"training": {"optimizer": SECRET}},
        {"training": {"epochs": SECRET}},
        {"training": SECRET},
    ],
)
def test_an_invalid_input_is_never_repeated(client: httpx.Client, change: dict[str, Any]) -> None:
    response = client.post("/v1/models", json={"name": "digits", "dataset": "mnist"} | change)
    assert_problem(response, 422, "invalid-input")
    assert SECRET not in response.text.lower()


def test_an_invalid_query_is_422_and_names_the_parameter(client: httpx.Client) -> None:
    problem = assert_problem(client.get("/v1/models", params={"limit": 1001}), 422, "invalid-input")
    assert "limit" in problem["errors"][0]["detail"]
    response = client.get("/v1/audit/events", params={"forget_request": f"x{SECRET}"})
    assert_problem(response, 422, "invalid-input")
    assert SECRET not in response.text


def test_a_hundred_thousand_faults_give_a_short_answer(client: httpx.Client) -> None:
    body = {"target": {"classes": [-1] * 100_000}}
    response = client.post("/v1/models/digits/forget", json=body)
    assert response.status_code == 422
    assert len(response.content) < 20_000


@pytest.fixture
def small(start_server: StartServer) -> httpx.Client:
    return start_server(max_body_mb=0.001)


def test_a_declared_body_over_the_limit_is_413(small: httpx.Client) -> None:
    assert_problem(small.post("/v1/models", content=b"x" * 2000), 413, "payload-too-large")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/digits/predict", "/v1/models/digits/forget"])
def test_a_chunked_body_over_the_limit_is_413(small: httpx.Client, path: str) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    response = small.post(path, content=chunks(), headers={"Content-Type": "application/json"})
    assert_problem(response, 413, "payload-too-large")


def test_documents_have_a_lower_limit_than_predictions(client: httpx.Client) -> None:
    five_megabytes = b"x" * (5 * 1024 * 1024)
    json_type = {"Content-Type": "application/json"}
    assert_problem(client.post("/v1/models", content=five_megabytes, headers=json_type), 413, "payload-too-large")
    response = client.post("/v1/models/digits/predict", content=five_megabytes, headers=json_type)
    assert_problem(response, 404, "model-not-found")


def test_an_unexpected_error_is_500_without_a_word_of_it(
    start_server: StartServer, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    client = start_server()
    with database.writing() as session:
        session.execute(
            text(f"CREATE TRIGGER broken BEFORE INSERT ON model BEGIN SELECT raise(ABORT, '{SECRET}'); END")
        )
    response = client.post("/v1/models", json={"name": "digits", "dataset": "mnist"})
    assert_problem(response, 500, "internal-error")
    assert SECRET not in response.text


def test_a_database_without_its_tables_is_503_with_retry_after(start_server: StartServer, database: Database) -> None:
    client = start_server()
    with database.writing() as session:
        session.execute(text("DROP TABLE idempotency_key"))
    response = client.post(
        "/v1/models", json={"name": "digits", "dataset": "mnist"}, headers={"Idempotency-Key": "key"}
    )
    assert_problem(response, 503, "database-unavailable")
    assert int(response.headers["retry-after"]) > 0


def test_every_problem_has_a_page_of_its_own_that_loads_nothing_from_elsewhere(start_server: StartServer) -> None:
    client = start_server(admin_key="any")
    overview = client.get("/problems")
    for slug, kind in errors_by_slug().items():
        assert f'href="/problems/{slug}"' in overview.text
        page = client.get(f"/problems/{slug}")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert kind.title in page.text.replace("&#x27;", "'")
        assert "://" not in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
    assert_problem(client.get("/problems/no-such"), 404, "not-found")
