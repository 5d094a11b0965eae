"""One uvicorn process around the application: it says where it listens, and stops in seconds."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import threading
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from app.errors import Unavailable
from app.service.http_protocol import HttpProtocol
from app.settings import Settings

_GRACE_SECONDS = 10
"""Seconds that requests in flight get after SIGTERM; streams of events end by themselves."""

_REST_SECONDS = 5
"""Seconds that a connection may rest between two requests."""


def run_server(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; `server.json` in the home names the URL and process meanwhile.

    Raises Unavailable before anything is started.
    """
    sockets = _bound(settings.host, settings.port)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=HttpProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_REST_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config, app, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn takes the signal over and, once it has stopped, raises it again for the handler before it. The default
        # handler would end the process while some of it is still to be closed.
        signal.signal(number, server.handle_exit)
    server.run(sockets)


def _bound(host: str, port: int) -> list[socket.socket]:
    """Sockets of every address that the host has, which listen once the application is ready."""
    sockets: list[socket.socket] = []
    unknown: OSError | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                sockets.append(_bound_to(family, address))
            except OSError as error:
                if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:  # as ::1 of localhost without IPv6
                    raise
                unknown = error
        if unknown and not sockets:
            raise unknown
    except OSError as error:
        for each in sockets:
            each.close()
        raise _cannot_listen(host, port, error) from error
    return sockets


def _bound_to(family: socket.AddressFamily, address: Any) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    return listening


def _cannot_listen(host: str, port: int, error: OSError) -> Unavailable:
    if error.errno == errno.EADDRINUSE:
        return Unavailable(f"port {port} of {host} is taken by another process; stop it, or choose another with --port")
    return Unavailable(f"{host}, port {port}, cannot be listened on ({error}); choose another --host or --port")


class _Server(uvicorn.Server):
    """Announces itself when it listens, and lets endless answers end when it is told to stop."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, settings: Settings) -> None:
        super().__init__(config)
        self._stopping: threading.Event = app.state.stopping
        self._announcement = settings.home / "server.json"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say where: with port 0 only now it is known."""
        try:
            await super().startup(sockets)
        except OSError as error:  # bound is not listening: another server that starts just now may have been first
            await self.lifespan.shutdown()
            raise _cannot_listen(self.config.host, self.config.port, error) from error
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
