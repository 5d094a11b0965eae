"""Opening the data root: one server at a time on an embedded database, migrated, and never open to the network."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.database import migrate
from app.database.engine import Database
from app.errors import StorageUnavailable, Unauthenticated
from app.operations.administration import checkpoints, signing_keys
from app.operations.administration.api_keys import any_key
from app.settings import Settings

_FOR_THE_OWNER_ALONE = 0o700


def keep_private() -> None:
    """Let nobody but its owner read what this process, and the processes that it starts, make from now on."""
    os.umask(0o777 & ~_FOR_THE_OWNER_ALONE)


def make_home(home: Path) -> None:
    """Make the data root unless it is there. Raises `StorageUnavailable`."""
    try:
        home.mkdir(_FOR_THE_OWNER_ALONE, parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(home) from error


@contextmanager
def open_home(settings: Settings) -> Iterator[Database]:
    """The database, fit to be served from, for as long as the block runs.

    Raises `StorageUnavailable` when the home cannot be written or another server holds it, `NotReady` for a
    PostgreSQL database at another revision, `IntegrityViolation` for a database older than a published checkpoint of
    its log, `Unauthenticated` when the server would listen beyond loopback without
    any API key.
    """
    with _held(settings):
        url = settings.resolved_database_url
        if settings.embedded_database:
            migrate.upgrade(url)
        else:
            migrate.check_revision(url)
        database = Database(url)
        try:
            _refuse_without_key(settings, database)
            checkpoints.check_start(database, settings)
            signing_keys.ensure(settings, database)
            yield database
        finally:
            database.dispose()


def _refuse_without_key(settings: Settings, database: Database) -> None:
    if settings.listens_on_loopback:
        return
    with database.reading() as session:
        if not any_key(session, settings):
            raise Unauthenticated(
                f"without an API key the server does not listen on {settings.host}: set FORGETTERY_ADMIN_KEY, or start "
                "it on 127.0.0.1 and create a key first"
            )


@contextmanager
def _held(settings: Settings) -> Iterator[None]:
    """The home's lock, which the kernel drops however the process ends. Servers on PostgreSQL may share a home."""
    make_home(settings.home)
    try:
        descriptor = os.open(settings.home / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _not_writable(settings.home) from error
    try:
        if settings.embedded_database:
            _lock(descriptor, settings.home)
        yield
    finally:
        os.close(descriptor)


def _not_writable(home: Path) -> StorageUnavailable:
    return StorageUnavailable(f"{home} cannot be written; set FORGETTERY_HOME or its permissions")


def _lock(descriptor: int, home: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageUnavailable(f"another server uses {home}; stop it, or set FORGETTERY_HOME for this one") from None
