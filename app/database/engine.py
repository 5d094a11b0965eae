"""Engine and transactions: `reading()` and `writing()` are the only ways in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.errors import DatabaseUnavailable, StorageUnavailable

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA recursive_triggers=ON",
)


class Database:
    """One database; safe to share between threads, not across a fork."""

    def __init__(self, url: str, *, busy_seconds: float = 30) -> None:
        self.engine = _sqlite_engine(url, busy_seconds) if url.startswith("sqlite") else _postgres_engine(url)
        self._writer = self.engine.execution_options(write=True)
        self.is_sqlite = self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state and changes nothing; always rolled back."""
        with _named_faults(), Session(self.engine, expire_on_commit=False) as session:
            yield session
            session.rollback()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that holds SQLite's write lock from its first statement; commits unless an error leaves it."""
        with _named_faults(), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def dispose(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def database_now(session: Session) -> datetime:
    """The time of the one clock that all workers share: the database's on PostgreSQL, the machine's on SQLite."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return now.astimezone(UTC)


def _sqlite_engine(url: str, busy_seconds: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": busy_seconds})

    # pysqlite opens transactions behind SQLAlchemy's back; its autocommit mode leaves BEGIN to us:
    # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#sqlite-transactions
    @event.listens_for(engine, "connect")
    def _connected(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    # A reader that turns writer in mid-transaction gets SQLITE_BUSY at once, whatever the timeout; so writers begin as such.
    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        options: Any = connection.get_execution_options()
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("write") else "BEGIN")

    return engine


def _postgres_engine(url: str) -> Engine:
    # The audit log's lock needs a snapshot per statement, not per transaction (docs/decisions/0004).
    return create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True)


@contextmanager
def _named_faults() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_FULL":
            raise StorageUnavailable("the disk is full; free some space and try again") from error
        raise DatabaseUnavailable("the database is locked or out of reach; try again shortly") from error
