"""The real application behind a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from app.database.engine import Database
from app.errors import errors_by_slug
from app.main import create_app
from app.service.http_protocol import HttpProtocol
from app.settings import Settings
from tests.waiting import HANGS_AFTER

ADMIN_KEY = "the-admin-key-of-the-tests"

StartServer = Callable[..., httpx.Client]


@contextmanager
def serving(settings: Settings, database: Database, *, processes: bool = False) -> Iterator[httpx.Client]:
    """A client of a server in a thread of this process; without `processes` jobs stay queued and predictions are 503."""
    settings.home.mkdir(parents=True, exist_ok=True)
    app = create_app(settings, database, processes=processes)
    server = uvicorn.Server(uvicorn.Config(app, http=HttpProtocol, log_config=None, lifespan="on"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        port = listening.getsockname()[1]
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANGS_AFTER) as client:
                yield client
        finally:
            app.state.stopping.set()
            server.should_exit = True
            thread.join()


def assert_problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem document, after checking that it is one and is the one expected."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem["title"] == errors_by_slug()[slug].title
    assert problem["detail"]
    assert problem["instance"] == response.request.url.raw_path.decode().partition("?")[0]
    assert "Traceback" not in response.text
    return problem
