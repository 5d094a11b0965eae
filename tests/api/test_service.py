from __future__ import annotations

import io
import json
import platform
import re
import sys
from collections.abc import Collection
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import text, update
from sqlalchemy.orm import Session
from starlette.routing import Route

from app import __version__, logs
from app.database.engine import Database, database_now
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, WorkerRow
from app.jobs import queue
from app.main import _ROUTERS, create_app
from app.operations.handlers import HANDLERS
from app.settings import Settings
from app.specs.originator import Originator
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


Samples = dict[tuple[Any, ...], float]


def scraped(client: httpx.Client) -> Samples:
    """Every sample by its name and sorted labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def test_metrics_tell_how_long_jobs_took_by_kind_and_outcome(client: httpx.Client, database: Database) -> None:
    with database.writing() as session:
        model = a_model(session)
        for status, seconds in (("succeeded", 0.5), ("succeeded", 61.25), ("failed", 3), ("cancelled", None)):
            a_job(session, model, status=status, seconds=seconds)
    samples = scraped(client)

    def durations(name: str, outcome: str, **labels: str) -> float:
        wanted = {"kind": "train", "outcome": outcome, **labels}
        return samples[f"forgettery_job_seconds_{name}", *sorted(wanted.items())]

    assert durations("count", "succeeded") == 2
    assert durations("sum", "succeeded") == pytest.approx(61.75, abs=0.01)
    assert [durations("bucket", "succeeded", le=bound) for bound in ("1.0", "60.0", "300.0", "+Inf")] == [1, 1, 2, 2]
    assert durations("count", "failed") == 1
    assert durations("count", "cancelled") == 0  # it never ran


def test_metrics_know_every_kind_and_outcome_of_jobs_before_the_first(client: httpx.Client) -> None:
    counts = {
        (labels["kind"], labels["outcome"]): value
        for (name, *pairs), value in scraped(client).items()
        if name == "forgettery_job_seconds_count" and (labels := dict(pairs))
    }
    outcomes = ("succeeded", "failed", "cancelled")
    assert counts == {(kind, outcome): 0 for kind in HANDLERS for outcome in outcomes}


def test_metrics_tell_how_long_a_job_that_could_run_has_waited(client: httpx.Client, database: Database) -> None:
    assert scraped(client)["forgettery_queue_age_seconds",] == 0
    with database.writing() as session:
        model = a_model(session)
        first = a_job(session, model, status="queued", age=90)
        a_job(session, model, status="queued", age=300, waits_for=[first.id])
    assert scraped(client)["forgettery_queue_age_seconds",] == pytest.approx(90, abs=20)
    with database.writing() as session:
        session.execute(update(JobRow).where(JobRow.id == first.id).values(status="running"))
    assert scraped(client)["forgettery_queue_age_seconds",] == 0


def test_metrics_count_verdicts(client: httpx.Client, database: Database) -> None:
    with database.writing() as session:
        model = a_model(session)
        for verdict in ("passed", "passed", "failed", None):
            a_request(session, model, a_job(session, model, status="succeeded", seconds=1), verdict)
    samples = scraped(client)
    counts = {
        verdict: samples["forgettery_verdicts_total", ("of", "forget_request"), ("verdict", verdict)]
        for verdict in ("passed", "failed", "inconclusive")
    }
    assert counts == {"passed": 2, "failed": 1, "inconclusive": 0}
    assert samples["forgettery_verdicts_total", ("of", "verification"), ("verdict", "passed")] == 0


@on_sqlite
def test_metrics_tell_what_runs_and_what_it_takes(client: httpx.Client) -> None:
    samples = scraped(client)
    build = next(dict(labels) for name, *labels in samples if name == "forgettery_build_info")
    assert build == {"version": __version__, "python": platform.python_version()}
    assert samples["process_resident_memory_bytes",] > 2**20
    assert samples["process_open_fds",] > 0
    assert any(name == "python_info" for name, *_ in samples)


@on_sqlite
def test_metrics_name_every_route_by_its_path(client: httpx.Client, settings: Settings) -> None:
    app = create_app(settings, processes=False)
    routes = [*app.routes, *chain.from_iterable(router.routes for router in _ROUTERS)]
    paths = {route.path for route in routes if isinstance(route, Route)}
    assert {"/openapi.json", "/docs", "/healthz", "/v1/models/{model}"} <= paths
    for path in sorted(paths):
        client.put(path)  # nothing of what exists is asked for, but every route is found
    counted = {dict(pairs).get("route") for name, *pairs in scraped(client) if name == "forgettery_requests_total"}
    assert paths - counted == set()
    assert "none" not in counted


@on_sqlite
def test_metrics_name_routes_of_pages_and_files_as_well(client: httpx.Client) -> None:
    for path in ("/docs", "/", "/problems/not-found", "/assets/favicon.png", "/assets/swagger-ui.css", "/assets/none"):
        client.get(path)
    client.delete("/v1/models")
    client.get("/nobody/knows")
    counted = {
        (labels["route"], labels["status"]): value
        for (name, *pairs), value in scraped(client).items()
        if name == "forgettery_requests_total" and (labels := dict(pairs))
    }
    assert counted["/docs", "200"] == 1
    assert counted["/problems/{slug}", "200"] == 1
    assert counted["/assets/{file}", "200"] == 2
    assert counted["/assets/{file}", "404"] == 1
    assert counted["/v1/models", "405"] == 1
    assert [key for key in counted if key[0] == "none"] == [("none", "404")]


def a_model(session: Session) -> ModelRow:
    model = ModelRow(
        id=uuid4(),
        name="digits",
        dataset="mnist",
        architecture={"type": "mlp"},
        learning={"mode": "standard"},
        training={},
        created_at=database_now(session),
    )
    session.add(model)
    session.flush()
    return model


def a_job(
    session: Session,
    model: ModelRow,
    *,
    status: str,
    seconds: float | None = None,
    age: float = 0,
    waits_for: Collection[UUID] = (),
) -> JobRow:
    """A job asked for `age` seconds ago that, if it ran, took so many seconds."""
    job = queue.submit(session, "train", model.id, {}, by=Originator("somebody"), publishing=False, waits_for=waits_for)
    now = database_now(session)
    job.status, job.created_at = status, now - timedelta(seconds=age)
    if seconds is not None:
        job.started_at, job.finished_at = now - timedelta(seconds=seconds), now
    session.flush()
    return job


def a_request(session: Session, model: ModelRow, job: JobRow, verdict: str | None) -> None:
    row = ForgetRequestRow(
        id=uuid4(),
        model_id=model.id,
        job_id=job.id,
        target={"classes": [2]},
        method="edit",
        requested_method="edit",
        refusal="push",
        reference="none",
        num_references=1,
        parameters={},
        seed=0,
        status="completed",
        verdict=verdict,
        received_at=database_now(session),
    )
    session.add(row)
    session.flush()


@on_sqlite
def test_the_pages_scripts_load_no_picture_from_another_host(client: httpx.Client) -> None:
    for page in ("/docs", "/redoc"):
        scripts = re.findall(r'<script src="([^"]+)"', client.get(page).text)
        assert scripts, page
        for address in scripts:
            script = client.get(address)
            assert script.headers["content-type"].startswith("text/javascript")
            assert len(script.content) > 100_000
            assert re.findall(r'src:"(?:https?:)?//[^"]*"', script.text) == []


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
