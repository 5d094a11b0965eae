"""One uvicorn process around the application: it says where it listens, and stops in seconds."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.problems import MEDIA_TYPE
from app.errors import MalformedRequest
from app.problems import problem_of
from app.settings import Settings

_GRACE_SECONDS = 10
"""What requests in flight get after SIGTERM; streams of events end by themselves."""


def run_server(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; `server.json` in the home names the URL and process meanwhile."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=HttpProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config, app, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn takes the signal over, and when it has stopped raises it again for whoever had it before: that it ends
        # the process, in the middle of what is still to be closed, is not wanted.
        signal.signal(number, server.handle_exit)
    server.run()


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 by uvicorn; what cannot be read as a request, so that no application sees it, is a problem as well."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's sentence names no cause
        """Answer and hang up."""
        error = MalformedRequest("this is no HTTP request, or its method is unknown; check what sent it")
        body = problem_of(error).model_dump_json(exclude_none=True).encode()
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class _Server(uvicorn.Server):
    """Announces itself when it listens, and lets endless answers end when it is told to stop."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, settings: Settings) -> None:
        super().__init__(config)
        self._stopping: threading.Event = app.state.stopping
        self._announcement = settings.home / "server.json"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say where: with port 0 only now it is known."""
        await super().startup(sockets)
        if not self.started:
            return
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._announcement.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")
        print(f"Forgettery listens on {url} (documentation: {url}/docs)", flush=True)  # noqa: T201  the command's output

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop."""
        self._stopping.set()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take the announcement back, then finish what is in flight."""
        self._announcement.unlink(missing_ok=True)
        await super().shutdown(sockets)
