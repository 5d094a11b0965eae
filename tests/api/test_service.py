from __future__ import annotations

import io
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import text

from app import logs
from app.database.engine import Database, database_now
from app.database.tables import WorkerRow
from app.settings import Settings
from tests.real_server import ADMIN_KEY, StartServer, assert_problem, serving

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_the_process_says_that_it_lives(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_readiness_names_every_part_that_does_not_work(client: httpx.Client) -> None:
    problem = assert_problem(client.get("/readyz"), 503, "not-ready")
    assert problem["checks"].keys() == {"database", "store", "worker", "predictor"}
    assert problem["checks"]["database"] == problem["checks"]["store"] == "ok"
    assert problem["checks"]["worker"] != "ok"
    assert problem["checks"]["predictor"] != "ok"


@pytest.mark.parametrize(("silence", "expected"), [(1, True), (60, False)])
def test_a_worker_that_was_heard_of_lately_is_ready(
    client: httpx.Client, database: Database, silence: int, *, expected: bool
) -> None:
    with database.writing() as session:
        seen_at = database_now(session) - timedelta(seconds=silence)
        session.add(WorkerRow(id="worker", started_at=seen_at, seen_at=seen_at))
    assert (client.get("/readyz").json()["checks"]["worker"] == "ok") is expected


@on_sqlite
def test_a_store_that_is_away_is_not_ready(start_server: StartServer, tmp_path: Path) -> None:
    client = start_server()
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    problem = assert_problem(client.get("/readyz"), 503, "not-ready")
    assert problem["checks"]["store"] != "ok"


@on_sqlite
def test_metrics_count_requests_by_route_and_jobs_by_status(client: httpx.Client) -> None:
    client.post("/v1/models", json={"name": "digits", "dataset": "mnist"})
    for name in ("a", "b", "c"):
        client.get(f"/v1/models/{name}")
    client.get("/no/such/path")
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }

    def requests(route: str, method: str, status: str) -> float:
        labels = {"route": route, "method": method, "status": status}
        return samples["forgettery_requests_total", *sorted(labels.items())]

    assert requests("/v1/models", "POST", "202") == 1
    assert requests("/v1/models/{model}", "GET", "404") == 3
    assert requests("none", "GET", "404") == 1
    assert samples["forgettery_jobs", ("status", "queued")] == 1
    assert samples["forgettery_jobs", ("status", "failed")] == 0


@on_sqlite
@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_loads_from_this_server_alone(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert "://" not in page.text
    # Their scripts know other addresses, of a logo for one: no browser may ask there.
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert {source for rule in policy.values() for source in rule.split()} <= {
        "'self'",
        "'none'",
        "'unsafe-inline'",
        "data:",
        "blob:",
    }
    loaded = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.text) + re.findall(r"url: '([^']+)'", page.text)
    assert len(loaded) >= 3
    for asset in loaded:
        assert asset.startswith("/")
        assert client.get(asset).status_code == 200


@on_sqlite
def test_a_browser_that_opens_the_server_finds_the_documentation(client: httpx.Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_a_missing_asset_is_a_problem(client: httpx.Client) -> None:
    assert_problem(client.get("/assets/no-such.js"), 404, "not-found")
    assert client.get("/assets/..%2f__init__.py").status_code == 404


@on_sqlite
def test_the_clients_request_id_is_echoed_and_the_servers_own_is_a_uuid(client: httpx.Client) -> None:
    response = client.get("/healthz", headers={"X-Request-Id": "order-17/b"})
    assert response.headers["x-request-id"] == "order-17/b"
    assert UUID(response.headers["x-forgettery-request"]).version == 4
    for unfit in ("with space", "x" * 129, "é"):
        response = client.get("/healthz", headers={b"X-Request-Id": unfit.encode()})
        assert "x-request-id" not in response.headers
    assert "x-request-id" in client.get("/no-such", headers={"X-Request-Id": "a"}).headers


@on_sqlite
def test_the_log_names_request_and_actor_and_never_a_key(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", logged := io.StringIO())
    logs.configure("info")
    with serving(settings.model_copy(update={"admin_key": SecretStr(ADMIN_KEY)}), database) as client:
        client.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        key = client.post("/v1/api-keys", json={"name": "x", "scopes": ["read"]}).json()
        headers = {"Authorization": f"Bearer {key['key']}", "X-Request-Id": "order-17"}
        answered = client.get("/v1/models", params={"page_token": "private"}, headers=headers)
    entries = [json.loads(line) for line in logged.getvalue().splitlines()]
    last = [entry for entry in entries if entry["logger"] == "app.requests"][-1]
    assert last["request_id"] == answered.headers["x-forgettery-request"]
    assert last["client_request_id"] == "order-17"
    assert (last["method"], last["path"], last["status"]) == ("GET", "/v1/models", 422)
    assert last["actor"] == f"key:{key['id']}"
    assert key["key"] not in logged.getvalue()
    assert ADMIN_KEY not in logged.getvalue()


@on_sqlite
def test_the_log_of_an_unexpected_error_holds_its_traceback_and_nothing_that_was_stored(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", logged := io.StringIO())
    logs.configure("info")
    with database.writing() as session:
        session.execute(text("CREATE TRIGGER broken BEFORE INSERT ON api_key BEGIN SELECT raise(ABORT, 'no'); END"))
    with serving(settings, database) as client:
        answered = client.post("/v1/api-keys", json={"name": "a private name", "scopes": ["admin"]})
    assert_problem(answered, 500, "internal-error")
    (entry,) = [json.loads(line) for line in logged.getvalue().splitlines() if "unexpected error" in line]
    assert entry["request_id"] == answered.headers["x-forgettery-request"]
    assert "Traceback" in entry["exception"]
    assert "a private name" not in logged.getvalue()
