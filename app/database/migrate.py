"""Bring a database's schema to the newest revision, in one transaction and one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from app.database.engine import Database
from app.database_addresses import where
from app.errors import DatabaseUnavailable, NotReady, StorageUnavailable

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x666F7267_6D696772  # "forgmigr": any fixed number, apart from the audit log's


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate up to `revision`; a failure leaves the revision it found, and a second process waits for the first."""
    with _alone(url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str) -> None:
    """Migrate down to `revision`, "base" for an empty database; the rows of dropped tables are lost."""
    with _alone(url) as connection:
        command.downgrade(_config(connection), revision)


def current(url: str) -> str | None:
    """The revision the database is at; None when it was never migrated."""
    with _opened(url) as database, database.reading() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def newest() -> str | None:
    """The revision this program needs."""
    return ScriptDirectory(str(_MIGRATIONS)).get_current_head()


def check_revision(url: str) -> None:
    """Raise NotReady unless the database is at the revision that this program needs."""
    found, needed = current(url), newest()
    if found == needed:
        return
    if found is None or found in {script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}:
        raise NotReady(f"the database is at revision {found}, {needed} is needed; run `forgettery db upgrade`")
    raise NotReady(f"the database is at revision {found}, unknown here; run the newer program that migrated it")


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    except (DatabaseUnavailable, StorageUnavailable) as error:
        raise _named(url, error) from error
    finally:
        database.dispose()


def _named(url: str, error: DatabaseUnavailable | StorageUnavailable) -> DatabaseUnavailable | StorageUnavailable:
    """A message for the person who starts a program: which database it is, and the driver's own reason."""
    reason = error.__cause__.orig if isinstance(error.__cause__, DBAPIError) else error.__cause__
    return type(error)(f"{error.detail}; {where(url)}: {' '.join(str(reason).split())}")


@contextmanager
def _alone(url: str) -> Iterator[Connection]:
    with _opened(url) as database, database.writing() as session:
        if not database.is_sqlite:
            session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        yield session.connection()


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
