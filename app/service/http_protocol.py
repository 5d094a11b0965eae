"""HTTP/1.1 by uvicorn, for clients of every kind: what is no request, too slow or too much is a problem document as well."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.problems import MEDIA_TYPE
from app.contract.problems import problem_of
from app.errors import ForgetteryError, MalformedRequest, RequestTooSlow, Unavailable

GRACE_SECONDS = 20.0
"""Seconds in which a request must arrive, head and body together, in addition to the time that its bytes earn."""
SLOWEST = 10_000
"""The number of bytes that earn one second more."""
MOST_CONNECTIONS = 512
"""Connections that may be open at once; half of the descriptors that a process gets on most machines."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. A request must come in time; what the application makes of it may take as long as it likes."""

    _since = 0.0
    _received = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for a request, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(Unavailable("too many connections are open; try again shortly, over fewer at once"))
        else:
            self._await_request()

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request."""
        self._received += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Note the first byte of a request."""
        super().on_message_begin()
        if self._timer is None:
            self._await_request()

    def on_message_complete(self) -> None:
        """Note the last byte of a request."""
        super().on_message_complete()
        self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nobody is there any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's sentence names no cause
        """Answer and hang up."""
        self._refuse(MalformedRequest("this is no HTTP request, or its method is unknown; check what sent it"))

    def _await_request(self) -> None:
        self._since, self._received = self.loop.time(), 0
        self._timer = self.loop.call_later(GRACE_SECONDS, self._check)

    def _stop_waiting(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        left = self._since + GRACE_SECONDS + self._received / SLOWEST - self.loop.time()
        if self.flow.read_paused:  # it is we who are slow
            self._await_request()
        elif left > 0:
            self._timer = self.loop.call_later(left, self._check)
        else:
            self._give_up()

    def _give_up(self) -> None:
        if self.transport.is_closing():
            self.transport.abort()
        elif self._is_answering() or not self._received:  # in the middle of an answer, or never asked anything
            self.transport.close()
        else:
            self._refuse(RequestTooSlow("the request came too slowly and was given up; send it again, at once"))

    def _is_answering(self) -> bool:
        if self.cycle is None:  # before any request, which its type leaves out
            return False
        return self.cycle.response_started and not self.cycle.response_complete

    def _refuse(self, error: ForgetteryError) -> None:
        problem = problem_of(error)
        application: FastAPI = self.config.app  # type: ignore[assignment]  # never the name of one
        problem = problem.model_copy(update={"type": application.state.root_path + problem.type})
        body = problem.model_dump_json(exclude_none=True).encode()
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
