"""The client against a scripted wire: what it sends, what it raises, how it waits and tries again."""

from __future__ import annotations

import hashlib
import json
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest

import app.client
from app import errors
from app.client import Client
from app.client import connection as connection_module
from app.client import jobs as jobs_module
from app.client.proxies import proxy_for
from app.contract.forgetting import ForgetCreate, ForgetTarget
from app.contract.jobs import Job
from app.contract.models import ModelCreate
from app.contract.problems import problem_of

JOB_ID = UUID("00000000-0000-4000-8000-000000000001")
Answer = Callable[[httpx.Request], httpx.Response]


def client_of(*answers: Answer) -> tuple[Client, list[httpx.Request]]:
    """A client whose n-th request is answered by the n-th function, and the requests it made."""
    asked: list[httpx.Request] = []
    remaining = iter(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return next(remaining)(request)

    return Client("http://server", "secret", transport=httpx.MockTransport(handle)), asked


def says(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return lambda _request: httpx.Response(status, json=body, headers=headers)


def refuses(error: errors.ForgetteryError) -> Answer:
    problem = problem_of(error).model_dump(mode="json")
    return says(problem, problem["status"], {"Content-Type": "application/problem+json"})


def breaks(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("connection reset", request=request)


def streams(*states: dict[str, Any], then: type[httpx.TransportError] | None = None) -> Answer:
    def body() -> Iterator[bytes]:
        for number, state in enumerate(states, start=1):
            yield b": keep-alive\n\n"
            yield f"event: progress\nid: {number}\ndata: {json.dumps(state)}\n\n".encode()
        if then:
            raise then("lost")

    return lambda _request: httpx.Response(200, content=body(), headers={"Content-Type": "text/event-stream"})


def job(status: str, fraction: float = 0.0, problem: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "id": str(JOB_ID),
        "kind": "train",
        "status": status,
        "model": "digits",
        "progress": {"fraction": fraction, "stage": "fit", "message": ""},
        "attempts": 1,
        "result": {"version": 1} if status == "succeeded" else None,
        "problem": problem,
        "created_at": "2026-01-01T00:00:00Z",
        "started_at": None,
        "finished_at": None,
    }


def model() -> dict[str, Any]:
    return {
        "name": "digits",
        "dataset": "mnist",
        "architecture": {"type": "mlp", "hidden": [128]},
        "learning": {"mode": "standard"},
        "training": {"epochs": 5},
        "serving_version": None,
        "latest_version": None,
        "forgotten": {"classes": [], "tasks": [], "num_samples": 0},
        "created_at": "2026-01-01T00:00:00Z",
    }


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(jobs_module, "_POLL_SECONDS", 0.0)


def test_the_public_names_are_these() -> None:
    assert app.client.__all__ == sorted(app.client.__all__)
    assert app.client.__all__ == ["Client", "JobEvent"]


@pytest.mark.parametrize("slug", sorted(errors.errors_by_slug()))
def test_every_error_of_the_tree_comes_back_as_itself(slug: str) -> None:
    kind = errors.errors_by_slug()[slug]
    client, _ = client_of(refuses(kind("do this", errors=[errors.FieldError("/name", "too long")])))
    with pytest.raises(errors.ForgetteryError) as caught:
        client.model("digits")
    assert type(caught.value) is kind
    assert caught.value.detail == "do this"
    assert caught.value.errors == [errors.FieldError("/name", "too long")]
    assert caught.value.problem.type == f"/problems/{slug}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidInput),
        (401, errors.Unauthenticated),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (410, errors.Gone),
        (413, errors.PayloadTooLarge),
        (422, errors.InvalidInput),
        (500, errors.InternalError),
        (502, errors.Unavailable),
        (503, errors.Unavailable),
    ],
)
def test_a_problem_of_a_newer_server_becomes_the_category_of_its_status(
    status: int, kind: type[errors.ForgetteryError]
) -> None:
    problem = {"type": "/problems/not-known-here", "title": "New", "status": status, "detail": "read the news"}
    client, _ = client_of(says(problem, status))
    with pytest.raises(errors.ForgetteryError, match="read the news") as caught:
        client.model("digits")
    assert type(caught.value) is kind


def test_an_answer_that_is_no_problem_document_names_url_and_status() -> None:
    client, _ = client_of(lambda _request: httpx.Response(502, text="<html>bad gateway</html>"))
    with pytest.raises(errors.Unavailable, match=r"http://server/v1/models/digits answered 502"):
        client.model("digits")


def test_a_success_that_is_not_the_contract_is_named_as_such() -> None:
    client, _ = client_of(says({"hello": "world"}))
    with pytest.raises(errors.Unavailable, match="does not answer as a Forgettery server"):
        client.model("digits")


@pytest.mark.parametrize(
    ("url", "kind"), [("http://127.0.0.1:9", errors.Unavailable), ("ftp://server", errors.InvalidInput)]
)
def test_a_server_that_cannot_be_reached_is_one_sentence(url: str, kind: type[errors.ForgetteryError]) -> None:
    with Client(url) as client, pytest.raises(kind) as caught:
        client.health()
    assert url in caught.value.detail
    assert "\n" not in caught.value.detail


def test_the_key_goes_into_the_authorization_header() -> None:
    client, asked = client_of(says({"status": "ok"}))
    client.health()
    assert asked[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("key", ["secret\r", "secret\n", "secret ", "\tsecret\r\n"])
def test_white_space_around_a_key_is_not_sent(key: str) -> None:
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"status": "ok"})

    with Client("http://server", key, transport=httpx.MockTransport(handle)) as client:
        client.health()
    assert asked[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("key", ["TOPSECRÉT", "TOP\nSECRET", "TOPSECRET\x00", "\udcffTOPSECRET", " \r\n"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(errors.InvalidInput, match="FORGETTERY_KEY") as caught:
        Client("http://server", key)
    assert "SECR" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["http://user:TOPSECRET@127.0.0.1:9", "ftp://user:TOPSECRET@server"])
def test_a_password_in_the_address_is_never_shown(url: str) -> None:
    with Client(url) as client, pytest.raises(errors.ForgetteryError) as caught:
        client.health()
    assert "TOPSECRET" not in "".join(traceback.format_exception(caught.value))


def test_a_password_in_the_address_is_not_shown_for_an_answer_without_a_reason() -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(502))
    with (
        Client("http://user:TOPSECRET@server", transport=transport) as client,
        pytest.raises(errors.Unavailable, match=r"^http://server/healthz answered 502"),
    ):
        client.health()


@pytest.fixture
def refusing_proxy() -> Iterator[str]:
    """The address of a proxy that lets nothing through, with the password that it asks for."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(407)

        def log_message(self, *_: object) -> None:
            """Not to standard error."""

    with HTTPServer(("127.0.0.1", 0), Refuse) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://user:TOPSECRET@127.0.0.1:{proxy.server_port}"
        proxy.shutdown()
        thread.join()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_proxy_on_the_way_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, refusing_proxy: str, variable: str
) -> None:
    monkeypatch.setenv(variable, refusing_proxy)
    shown = refusing_proxy.replace("user:TOPSECRET@", "")
    with Client("http://forgettery.example") as client, pytest.raises(errors.InvalidInput) as caught:
        client.health()
    assert f"http://forgettery.example/healthz through the proxy {shown}" in caught.value.detail
    assert "answered 407" in caught.value.detail
    monkeypatch.setenv(variable, "user:TOPSECRET@127.0.0.1:9")
    with Client("http://forgettery.example") as client, pytest.raises(errors.Unavailable) as lost:
        client.health()
    assert "http://forgettery.example through the proxy http://127.0.0.1:9 " in lost.value.detail
    assert "NO_PROXY" in lost.value.detail
    assert "TOPSECRET" not in caught.value.detail + lost.value.detail


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9",
        "http://localhost:9",
        "http://[::1]:9",
        "http://127.8.9.1:9",
    ],
)
def test_this_machine_is_never_reached_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, refusing_proxy: str, url: str
) -> None:
    for variable in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, refusing_proxy)
    with Client(url) as client, pytest.raises(errors.Unavailable, match="no server answers") as caught:
        client.health()
    assert "proxy" not in caught.value.detail


@pytest.mark.parametrize("url", ["http://0.0.0.0:8000", "http://[::]:8000", "http://localhost.:8000", "http://[::1]"])
def test_what_a_server_here_calls_itself_needs_no_proxy_either(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert proxy_for(httpx.URL(url)) is None


def test_no_proxy_leaves_the_proxy_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "forgettery.example")
    assert proxy_for(httpx.URL("http://forgettery.example:8000")) is None
    assert proxy_for(httpx.URL("https://elsewhere.example")) is None
    elsewhere = proxy_for(httpx.URL("http://elsewhere.example"))
    assert elsewhere
    assert elsewhere.url == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "proxy", ["nonsense://user:TOPSECRET@proxy", "socks5://user:TOPSECRET@proxy", "http://proxy:port"]
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(errors.InvalidInput, match=r"the proxy \S+ of the environment") as caught:
        Client("http://forgettery.example")
    assert "TOPSECRET" not in "".join(traceback.format_exception(caught.value))


def test_lists_are_fetched_page_after_page_with_their_filters() -> None:
    client, asked = client_of(
        says({"items": [job("queued"), job("running")], "next_page_token": "more"}),
        says({"items": [job("running")], "next_page_token": None}),
    )
    assert [found.status for found in client.jobs(model="digits")] == ["queued", "running", "running"]
    assert [dict(request.url.params) for request in asked] == [
        {"model": "digits"},
        {"model": "digits", "page_token": "more"},
    ]


def test_a_lost_connection_sends_the_same_work_with_the_same_idempotency_key() -> None:
    client, asked = client_of(breaks, breaks, says({"model": model(), "job": job("queued")}, 202))
    assert client.create_model(ModelCreate(name="digits", dataset="mnist")).job.id == JOB_ID
    assert len({request.headers["Idempotency-Key"] for request in asked}) == 1
    assert len({request.content for request in asked}) == 1
    assert len(asked) == 3


def test_a_first_request_that_still_runs_is_waited_for() -> None:
    client, asked = client_of(
        breaks, refuses(errors.IdempotencyKeyInUse()), says({"model": model(), "job": job("queued")}, 202)
    )
    client.create_model(ModelCreate(name="digits", dataset="mnist"))
    assert len(asked) == 3


def test_a_refusal_by_the_server_is_not_tried_again() -> None:
    client, asked = client_of(refuses(errors.DatasetUnavailable()))
    with pytest.raises(errors.DatasetUnavailable):
        client.create_model(ModelCreate(name="digits", dataset="cifar10"))
    assert len(asked) == 1


def test_a_new_piece_of_work_has_a_new_key() -> None:
    started = says({"model": model(), "job": job("queued")}, 202)
    client, asked = client_of(started, started)
    for _ in range(2):
        client.create_model(ModelCreate(name="digits", dataset="mnist"))
    assert asked[0].headers["Idempotency-Key"] != asked[1].headers["Idempotency-Key"]


def test_forget_never_asks_for_a_dry_run_and_a_plan_always_does() -> None:
    client, asked = client_of(refuses(errors.NothingLeft()), refuses(errors.NothingLeft()))
    body = ForgetCreate(target=ForgetTarget(classes=[2]), dry_run=True)
    for call in (client.forget, client.plan_forget):
        with pytest.raises(errors.NothingLeft):
            call("digits", body)
    assert [json.loads(request.content)["dry_run"] for request in asked] == [False, True]


def test_waiting_reports_every_state_and_returns_the_last() -> None:
    client, _ = client_of(streams(job("running", 0.5), job("succeeded", 1.0)))
    seen: list[Job] = []
    assert client.wait_for_job(JOB_ID, on_progress=seen.append).result == {"version": 1}
    assert [state.progress.fraction for state in seen] == [0.5, 1.0]


def test_waiting_goes_on_after_the_last_event_when_the_stream_breaks() -> None:
    client, asked = client_of(
        streams(job("running", 0.1), job("running", 0.2), then=httpx.ReadError),
        says(job("running", 0.3)),
        streams(job("succeeded", 1.0)),
    )
    seen: list[Job] = []
    client.wait_for_job(JOB_ID, on_progress=seen.append)
    assert [state.progress.fraction for state in seen] == [0.1, 0.2, 0.3, 1.0]
    assert "Last-Event-ID" not in asked[0].headers
    assert asked[2].headers["Last-Event-ID"] == "2"


def test_waiting_polls_where_events_do_not_come_through() -> None:
    client, _ = client_of(breaks, says(job("running", 0.3)), breaks, says(job("succeeded", 1.0)))
    assert client.wait_for_job(JOB_ID).status == "succeeded"


def test_waiting_outlives_a_restart_of_the_server() -> None:
    client, _ = client_of(breaks, breaks, breaks, says(job("succeeded", 1.0)))
    assert client.wait_for_job(JOB_ID).status == "succeeded"


def test_waiting_gives_up_on_a_server_that_stays_away() -> None:
    client, _ = client_of(*[breaks] * 1000)
    with pytest.raises(errors.Unavailable, match="no server answers"):
        client.wait_for_job(JOB_ID, patience=0)


def test_a_failed_job_raises_its_problem() -> None:
    problem = problem_of(errors.StorageUnavailable("the disk is full; free some space")).model_dump(mode="json")
    client, _ = client_of(streams(job("failed", 0.9, problem)))
    with pytest.raises(errors.StorageUnavailable, match="free some space"):
        client.wait_for_job(JOB_ID)


def test_a_cancelled_job_raises_that_it_was_cancelled() -> None:
    client, _ = client_of(streams(job("cancelled", 0.9)))
    with pytest.raises(errors.JobCancelled):
        client.wait_for_job(JOB_ID)


@pytest.mark.parametrize(
    "array",
    [
        np.linspace(0, 1, 2 * 28 * 28).reshape(2, 1, 28, 28),
        np.asfortranarray(np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)),
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.float16(np.ones((1, 4)) / 3),
        np.zeros((1,), dtype=">f4"),
    ],
)
def test_arrays_travel_as_npy_that_numpy_reads_back(array: np.ndarray[Any, Any], tmp_path: Path) -> None:
    client, asked = client_of(refuses(errors.InvalidShape()))
    with pytest.raises(errors.InvalidShape):
        client.predict("digits", array, on_forgotten="token")
    assert asked[0].headers["Content-Type"] == "application/x-npy"
    assert dict(asked[0].url.params) == {"on_forgotten": "token", "probabilities": "false"}
    (tmp_path / "sent.npy").write_bytes(asked[0].content)
    sent = np.load(tmp_path / "sent.npy", allow_pickle=False)
    expected = array if array.dtype == np.uint8 else array.astype(np.float32)
    assert sent.dtype == expected.dtype
    assert np.array_equal(sent, expected)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.complex64, object])
def test_arrays_whose_range_is_unclear_are_refused_before_they_are_sent(dtype: Any) -> None:
    client, asked = client_of()
    with pytest.raises(errors.InvalidValue, match="convert it"):
        client.predict("digits", np.zeros((1, 4), dtype=dtype))
    assert not asked


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0...", "image/jpeg"),
        (b"\x93NUMPY\x01\x00...", "application/x-npy"),
    ],
)
def test_bytes_travel_as_what_they_are(content: bytes, media_type: str) -> None:
    client, asked = client_of(refuses(errors.UnreadableInput()))
    with pytest.raises(errors.UnreadableInput):
        client.predict("digits", content, version=3)
    assert asked[0].headers["Content-Type"] == media_type
    assert asked[0].content == content
    assert asked[0].url.path == "/v1/models/digits/versions/3/predict"


def test_the_task_is_named_in_the_query_beside_bytes_and_arrays_and_in_the_body_beside_lists() -> None:
    client, asked = client_of(*[refuses(errors.TaskNotFound())] * 3)
    for inputs in (b"\x89PNG\r\n\x1a\n...", np.zeros((1, 4), np.uint8), [[0.0] * 4]):
        with pytest.raises(errors.TaskNotFound):
            client.predict("digits", inputs, task=0)
    assert [request.url.params.get("task") for request in asked] == ["0", "0", None]
    assert json.loads(asked[2].content)["task"] == 0


def test_bytes_of_another_kind_are_refused_before_they_are_sent() -> None:
    client, asked = client_of()
    with pytest.raises(errors.InvalidInput, match="PNG"):
        client.predict("digits", b"GIF89a")
    assert not asked


def test_a_model_name_cannot_reach_another_route() -> None:
    client, asked = client_of(refuses(errors.ModelNotFound()))
    with pytest.raises(errors.ModelNotFound):
        client.model("../jobs?x=1")
    assert asked[0].url.raw_path == b"/v1/models/..%2Fjobs%3Fx%3D1"


def version(digest: str) -> dict[str, Any]:
    metrics = {
        "test_accuracy": 0.97,
        "per_class_accuracy": [0.97],
        "confusion_matrix": [[1, 0]],
        "sparsity": 0.0,
        "num_parameters": 10,
        "training_seconds": 1.0,
    }
    return {
        "model": "digits",
        "number": 1,
        "state": "available",
        "serving": True,
        "origin": "trained",
        "parent": None,
        "digest": digest,
        "forgotten": {},
        "claim": None,
        "metrics": metrics,
        "created_at": "2026-01-01T00:00:00Z",
        "forget_request": None,
        "manifest": {},
    }


def test_weights_are_written_only_when_their_digest_is_the_promised_one(tmp_path: Path) -> None:
    content = b"weights" * 1000
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    def sends(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content)

    client, _ = client_of(says(version(digest)), sends, says(version("sha256:0")), sends)
    path = client.download_weights("digits", 1, tmp_path / "good.safetensors")
    assert path.read_bytes() == content
    with pytest.raises(errors.VersionCorrupted):
        client.download_weights("digits", 1, tmp_path / "bad.safetensors")
    assert [found.name for found in tmp_path.iterdir()] == ["good.safetensors"]


def test_a_refused_download_raises_the_servers_error_and_leaves_no_file(tmp_path: Path) -> None:
    client, _ = client_of(says(version("sha256:0")), refuses(errors.VersionGone("version 1 is quarantined")))
    with pytest.raises(errors.VersionGone, match="quarantined"):
        client.download_weights("digits", 1, tmp_path / "gone.safetensors")
    assert not list(tmp_path.iterdir())


def test_ids_in_filters_travel_as_text() -> None:
    client, asked = client_of(says({"items": [], "next_page_token": None}))
    request = uuid4()
    assert list(client.audit_events(forget_request=request)) == []
    assert dict(asked[0].url.params) == {"forget_request": str(request)}
