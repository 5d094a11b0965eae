from __future__ import annotations

import httpx
import pytest

from tests.real_server import ADMIN_KEY, StartServer, assert_problem

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

PAGE = "https://app.example.org"
OTHER = "https://evil.example"
KEYED = {"admin_key": ADMIN_KEY, "key": ADMIN_KEY}


def preflight(
    client: httpx.Client, origin: str, method: str = "POST", headers: str = "authorization"
) -> httpx.Response:
    wanted = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return client.options("/v1/models", headers={"Origin": origin, **wanted})


@pytest.fixture
def named(start_server: StartServer) -> httpx.Client:
    return start_server(**KEYED, cors_origins=f"https://other.example:8443, {PAGE}")


def test_by_default_no_answer_lets_another_origin_in(admin: httpx.Client) -> None:
    for answer in (admin.get("/v1/models", headers={"Origin": PAGE}), preflight(admin, PAGE)):
        assert [name for name in answer.headers if name.startswith("access-control")] == []
    assert_problem(preflight(admin, PAGE), 405, "method-not-allowed")


def test_a_page_of_an_origin_that_is_named_may_send_all_that_the_service_takes(named: httpx.Client) -> None:
    asked = "authorization,content-type,content-encoding,idempotency-key,last-event-id,x-request-id"
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        answer = preflight(named, PAGE, method, asked)
        assert answer.status_code == 200, answer.text
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/nobody", "/v1/nowhere", "/v1/jobs?limt=1"])
def test_it_may_read_answers_and_problems_with_their_headers(named: httpx.Client, path: str) -> None:
    answer = named.get(path, headers={"Origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "Origin" in answer.headers["vary"]
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    assert {"Location", "ETag", "Retry-After", "Idempotency-Replayed", "X-Forgettery-Request"} <= exposed


@pytest.mark.parametrize("origin", [OTHER, "null", PAGE + ".evil.example", PAGE + ":444", "http://app.example.org"])
def test_no_other_origin_may(named: httpx.Client, origin: str) -> None:
    answer = preflight(named, origin)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json()["type"] == "/problems/forbidden"
    for refused in (answer, named.get("/v1/models", headers={"Origin": origin})):
        assert "access-control-allow-origin" not in refused.headers


def test_a_star_is_any_origin(start_server: StartServer) -> None:
    answer = start_server(**KEYED, cors_origins="*").get("/v1/models", headers={"Origin": OTHER})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_without_keys_foreign_origins_are_refused_whatever_is_set(start_server: StartServer) -> None:
    client = start_server(cors_origins=PAGE)
    assert_problem(client.get("/v1/models", headers={"Origin": PAGE}), 403, "foreign-origin")
