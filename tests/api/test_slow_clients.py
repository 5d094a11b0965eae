"""Clients that send slowly, nothing at all, or from too many connections: none of them holds the server up."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from app.service import http_protocol
from tests.waiting import HANGS_AFTER, wait_until

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

HEAD = b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "GRACE_SECONDS", 2.0)


@contextmanager
def connected(client: httpx.Client) -> Iterator[socket.socket]:
    with socket.create_connection(
        (client.base_url.host, client.base_url.port or 80), timeout=HANGS_AFTER
    ) as connection:
        yield connection


def all_of(connection: socket.socket) -> bytes:
    """Everything that the server sends until it hangs up."""
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer


def drip(connection: socket.socket) -> None:
    for _ in range(400):
        connection.sendall(b" ")
        time.sleep(0.05)


def assert_is_problem(answer: bytes, status: int, slug: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head
    assert json.loads(body)["type"] == f"/problems/{slug}"
    assert json.loads(body)["status"] == status


@pytest.mark.parametrize(
    "sent",
    [b"GET /heal", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{"],
)
def test_half_a_request_is_given_up_and_the_server_hangs_up(client: httpx.Client, sent: bytes) -> None:
    with connected(client) as connection:
        connection.sendall(sent)
        assert_is_problem(all_of(connection), 408, "request-too-slow")


def test_a_request_that_drips_is_given_up_though_it_never_pauses_for_long(client: httpx.Client) -> None:
    with connected(client) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            drip(connection)


def test_who_never_asks_anything_is_hung_up_on_without_a_word(client: httpx.Client) -> None:
    with connected(client) as connection:
        assert all_of(connection) == b""


def test_a_body_that_takes_its_time_but_keeps_coming_is_read_to_its_end(client: httpx.Client) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 5000
            time.sleep(0.1)
        yield b"{}"

    answer = client.post("/v1/models", content=body(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-input")


def test_a_connection_may_rest_between_two_requests(client: httpx.Client) -> None:
    with connected(client) as connection:
        for _ in range(2):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):  # head and body may come apart
                part = connection.recv(65536)
                assert part
                answer += part
            assert answer.startswith(b"HTTP/1.1 200 ")
            time.sleep(3)


def test_a_connection_too_many_is_refused_until_others_have_ended(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "GRACE_SECONDS", 30.0)
    monkeypatch.setattr(http_protocol, "MOST_CONNECTIONS", 5)
    with ExitStack() as held:
        for _ in range(5):
            held.enter_context(connected(client)).sendall(HEAD)
        with connected(client) as one_more:
            assert_is_problem(all_of(one_more), 503, "unavailable")
    wait_until(lambda: client.get("/healthz").status_code == 200)
