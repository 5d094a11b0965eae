"""Behind a proxy that strips the prefix under which it shows the server."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from app.client import Client
from app.database.engine import Database
from app.errors import ModelNotFound
from app.settings import Settings
from tests.real_server import StartServer, assert_problem
from tests.stored_versions import record_model, record_version, store_version

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

PREFIX = "/apps/forgettery"


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
    behind = start_server() if tells else start_server(root_path=PREFIX + "/")
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
