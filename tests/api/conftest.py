"""Servers on a real database, without the processes that only jobs and predictions need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from app import logs
from app.database.engine import Database
from app.settings import Settings
from tests.real_server import ADMIN_KEY, StartServer, serving


@pytest.fixture(autouse=True)
def _log_as_a_server_does() -> None:
    logs.configure("info")


@pytest.fixture
def start_server(settings: Settings, database: Database) -> Iterator[StartServer]:
    """Starts servers on this test's database; each call gives a client of a further one, with settings changed as said."""
    with ExitStack() as running:

        def start(*, key: str | None = None, processes: bool = False, **changes: object) -> httpx.Client:
            changed = Settings.model_validate(settings.model_dump() | changes)
            client = running.enter_context(serving(changed, database, processes=processes))
            if key:
                client.headers["Authorization"] = f"Bearer {key}"
            return client

        yield start


@pytest.fixture
def client(start_server: StartServer) -> httpx.Client:
    """A client of a server without any key: whoever asks from this machine may do everything."""
    return start_server()


@pytest.fixture
def admin(start_server: StartServer) -> httpx.Client:
    """A client with the admin key of a server that has one."""
    return start_server(key=ADMIN_KEY, admin_key=ADMIN_KEY)
