"""Behind a proxy that strips the prefix under which it shows the server."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.client import Client
from app.contract.problems import problem_of
from app.database.engine import Database
from app.errors import ModelNotFound, NotApplicable
from app.jobs import queue
from app.jobs.handler import endings
from app.operations.handlers import HANDLERS
from app.settings import Settings
from tests.real_server import StartServer, assert_problem
from tests.stored_versions import record_model, record_version, store_version
from tests.waiting import HANGS_AFTER

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

PREFIX = "/apps/forgettery"
PAGE = "https://app.example.org"
PREFLIGHT = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}


class StrippingProxy(httpx.HTTPTransport):
    """Knows nothing but what is under the prefix."""

    def __init__(self, *, tells: bool) -> None:
        super().__init__()
        self._tells = tells

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.startswith(PREFIX + "/"):
            return httpx.Response(502)
        headers = {"X-Forwarded-Prefix": PREFIX} if self._tells else {}
        url = request.url.copy_with(raw_path=request.url.raw_path.removeprefix(PREFIX.encode()))
        return super().handle_request(
            httpx.Request(request.method, url, headers={**request.headers, **headers}, stream=request.stream)
        )


@pytest.fixture(params=["the setting", "the header"])
def proxied(
    request: pytest.FixtureRequest, start_server: StartServer, settings: Settings, database: Database
) -> Iterator[httpx.Client]:
    record_version(database, record_model(database), store_version(settings.home))
    tells = request.param == "the header"
    behind = start_server(cors_origins=PAGE, root_path="" if tells else PREFIX + "/")
    address = f"{str(behind.base_url).rstrip('/')}{PREFIX}"
    with httpx.Client(base_url=address, transport=StrippingProxy(tells=tells), follow_redirects=True) as client:
        yield client


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/problems", "/problems/not-found"])
def test_all_that_a_page_leads_to_is_there(proxied: httpx.Client, page: str) -> None:
    found = proxied.get(page)
    links = re.findall(r"""(?:href|src|spec-url)=["']([^"']+)["']|url: ["']([^"']+)["']""", found.text)
    addresses = {address or other for address, other in links}
    assert len(addresses) >= 3, found.text
    for address in addresses:
        assert address.startswith(PREFIX + "/"), address
        assert proxied.get(str(proxied.base_url.join(address))).status_code == 200, address


def test_the_first_page_leads_to_the_documentation(proxied: httpx.Client) -> None:
    assert proxied.get("/").url.path == f"{PREFIX}/docs"


def test_the_document_says_where_its_paths_begin(proxied: httpx.Client) -> None:
    assert proxied.get("/openapi.json").json()["servers"] == [{"url": PREFIX}]


def test_a_location_leads_to_the_job_and_so_does_that_of_a_kept_answer(proxied: httpx.Client) -> None:
    key = {"Idempotency-Key": "once"}
    for _ in range(2):
        answer = proxied.post("/v1/models/digits/train", json={}, headers=key)
        assert answer.status_code == 202, answer.text
        job = proxied.get(str(proxied.base_url.join(answer.headers["location"])))
        assert job.json()["id"] == answer.json()["job"]["id"]
    assert answer.headers["idempotency-replayed"] == "true"
    cancelled = proxied.post(f"/v1/jobs/{job.json()['id']}/cancel")
    assert cancelled.headers["location"] == f"{PREFIX}/v1/jobs/{job.json()['id']}"


@pytest.mark.parametrize("path", ["/v1/models/nobody", "/v1/nowhere", "/assets/nothing.js"])
def test_a_problem_leads_to_its_page(proxied: httpx.Client, path: str) -> None:
    problem = proxied.get(path).json()
    assert problem["instance"] == PREFIX + path
    assert problem["type"].startswith(f"{PREFIX}/problems/")
    assert proxied.get(str(proxied.base_url.join(problem["type"]))).status_code == 200


def links_in(body: Any) -> list[str]:
    """Every text of a body that is a path of a server."""
    if isinstance(body, dict | list):
        return [link for inner in (body.values() if isinstance(body, dict) else body) for link in links_in(inner)]
    return [body] if isinstance(body, str) and body.startswith("/") else []


def assert_leads_there_from_here(client: httpx.Client, body: Any, number: int) -> None:
    links = links_in(body)
    assert len(links) == number
    for link in links:
        assert link.startswith(PREFIX + "/"), link
        assert client.get(str(client.base_url.join(link))).status_code == 200, link


def ended(database: Database, *, result: dict[str, Any] | None = None) -> str:
    """The next job, with this result or failed for a reason that its problem tells; its id."""
    with database.writing() as session:
        claim = queue.claim(session, "worker", list(HANDLERS))
        assert claim is not None
        if result is None:
            queue.fail(session, claim, NotApplicable("it does not fit"), endings(HANDLERS))
        else:
            queue.succeed(session, claim, result)
    return str(claim.job_id)


def test_the_problem_of_a_failed_job_leads_to_its_page_and_its_job_wherever_it_is_told(
    proxied: httpx.Client, database: Database
) -> None:
    request = proxied.post("/v1/models/digits/forget", json={"target": {"classes": [1]}}).json()["id"]
    job = ended(database)
    for path in (f"/v1/jobs/{job}", "/v1/jobs", f"/v1/forget-requests/{request}", "/v1/forget-requests"):
        assert_leads_there_from_here(proxied, proxied.get(path).json(), 2)
    [event] = re.findall(r"^data: (.*)$", proxied.get(f"/v1/jobs/{job}/events").text, re.MULTILINE)
    assert_leads_there_from_here(proxied, json.loads(event), 2)


def test_the_problem_of_a_compared_method_does_so_too(proxied: httpx.Client, database: Database) -> None:
    asked = {"target": {"classes": [1]}, "methods": [{"method": "edit"}, {"method": "retrain"}]}
    job = proxied.post("/v1/models/digits/compare", json=asked).json()["id"]
    problem = problem_of(NotApplicable("it does not fit"), f"/v1/jobs/{job}").model_dump(mode="json")
    assert ended(database, result={"rows": [{"problem": problem}, {"problem": None}]}) == job
    assert_leads_there_from_here(proxied, proxied.get(f"/v1/jobs/{job}").json(), 2)


def test_what_is_stored_knows_no_prefix(proxied: httpx.Client, client: httpx.Client, database: Database) -> None:
    proxied.post("/v1/models/digits/train", json={})
    job = ended(database)
    problem = client.get(f"/v1/jobs/{job}").json()["problem"]
    assert (problem["type"], problem["instance"]) == ("/problems/not-applicable", f"/v1/jobs/{job}")


def test_a_refusal_of_another_origin_leads_to_its_page(proxied: httpx.Client) -> None:
    refused = proxied.options("/v1/models", headers=PREFLIGHT)
    assert refused.status_code == 403
    assert_leads_there_from_here(proxied, refused.json(), 1)


def test_what_is_no_request_is_told_of_a_page_under_the_prefix_that_is_set(start_server: StartServer) -> None:
    address = start_server(root_path=PREFIX).base_url
    with socket.create_connection((address.host, address.port or 80), timeout=HANGS_AFTER) as connection:
        connection.sendall(b"no request\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == f"{PREFIX}/problems/malformed-request"


def test_the_client_takes_the_whole_address(start_server: StartServer) -> None:
    behind = start_server(root_path="/v1")  # a prefix that is also one of ours
    with Client(str(behind.base_url)) as client, pytest.raises(ModelNotFound):
        client.model("nobody")


@pytest.mark.parametrize("sent", ["//evil.example", "/a/../..//b", "https://evil.example", '/"><script>', "x", "/"])
def test_a_prefix_that_is_no_plain_path_is_none(client: httpx.Client, sent: str) -> None:
    forwarded = {"X-Forwarded-Prefix": sent}
    assert client.get("/", headers=forwarded).headers["location"] == "/docs"
    assert client.get("/docs", headers=forwarded).text == client.get("/docs").text


def test_the_setting_wins_over_what_anybody_sends(start_server: StartServer) -> None:
    client = start_server(root_path=PREFIX)
    assert client.get("/", headers={"X-Forwarded-Prefix": "/other"}).headers["location"] == f"{PREFIX}/docs"


def test_without_a_prefix_nothing_changes(client: httpx.Client) -> None:
    assert_problem(client.get("/v1/models/nobody"), 404, "model-not-found")
    assert "servers" not in client.get("/openapi.json").json()
