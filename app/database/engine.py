"""Engine and transactions: `reading()` and `writing()` are the only ways in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from app.errors import DatabaseUnavailable, ForgetteryError, StorageUnavailable

_SQLITE_PRAGMAS = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA recursive_triggers=ON",
)
_POSTGRES_READER: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_CONNECT_SECONDS = 10


class Database:
    """One database; safe to share between threads, not across a fork."""

    def __init__(self, url: str, *, busy_seconds: float = 30) -> None:
        """`busy_seconds`: the longest wait for a lock that another transaction holds."""
        open_engine = _sqlite_engine if url.startswith("sqlite") else _postgres_engine
        self.engine = open_engine(url, busy_seconds)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._writer = self.engine.execution_options(write=True)
        # SQLite's snapshot is a transaction's anyway, and `_begun` keeps it from writing.
        self._reader = self.engine if self.is_sqlite else self.engine.execution_options(**_POSTGRES_READER)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state and cannot write: the database refuses. Its rows stay usable afterwards."""
        with _named_faults(writing=False), Session(self._reader, expire_on_commit=False) as session:
            yield session  # closing rolls back; a rollback() would empty the rows that the caller keeps

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that holds SQLite's write lock from its first statement; commits unless an error leaves it."""
        with _named_faults(writing=True), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def dispose(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def is_writing(session: Session) -> bool:
    """Whether the session came from `writing()`."""
    return bool(session.get_bind().get_execution_options().get("write"))


def database_now(session: Session) -> datetime:
    """The time of the one clock that all workers share: the database's on PostgreSQL, the machine's on SQLite."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return now.astimezone(UTC)


def _sqlite_engine(url: str, busy_seconds: float) -> Engine:
    # Hidden here and below: errors end in logs, and parameters may be what no log may hold.
    engine = create_engine(url, connect_args={"timeout": busy_seconds}, hide_parameters=True)

    # pysqlite opens transactions behind SQLAlchemy's back; its autocommit mode leaves BEGIN to us:
    # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#sqlite-transactions
    @event.listens_for(engine, "connect")
    def _connected(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        _use_write_ahead_log(cursor, busy_seconds)
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    # A reader that turns writer in mid-transaction gets SQLITE_BUSY at once, whatever the timeout; so writers begin as such.
    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if write else 'ON'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _use_write_ahead_log(cursor: DBAPICursor, busy_seconds: float) -> None:
    # When several open a new file at once, SQLite calls this switch locked without waiting for the busy timeout.
    deadline = monotonic() + busy_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or monotonic() > deadline:
                raise
            sleep(0.01)
        else:
            return


def _postgres_engine(url: str, busy_seconds: float) -> Engine:
    # The audit log's lock needs a snapshot per statement, not per transaction (docs/decisions/0004).
    driver = make_url(url).set(drivername="postgresql+psycopg")  # a bare postgresql:// would mean another one
    engine = create_engine(driver, isolation_level="READ COMMITTED", pool_pre_ping=True, hide_parameters=True)

    @event.listens_for(engine, "do_connect")
    def _connecting(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        parameters.setdefault("connect_timeout", _CONNECT_SECONDS)
        # First, so that options of the URL win.
        parameters["options"] = f"-c lock_timeout={int(busy_seconds * 1000)} {parameters.get('options', '')}"

    return engine


@contextmanager
def _named_faults(*, writing: bool) -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("all connections to the database are busy; try again shortly") from error
    except DatabaseError as error:
        fault = _fault(error, writing=writing)
        if fault is None:
            raise
        raise fault from error


def _fault(error: DatabaseError, *, writing: bool) -> ForgetteryError | None:
    """What the caller may be told; None for a fault of the program: a table that is not there, a write while reading."""
    # https://www.sqlite.org/rescode.html, https://www.postgresql.org/docs/current/errcodes-appendix.html
    name: str | None = getattr(error.orig, "sqlite_errorname", None)
    if name in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
        return StorageUnavailable("the database file is damaged, or no database; restore it from a backup")
    if not isinstance(error, OperationalError) or (name == "SQLITE_READONLY" and not writing):
        return None
    if name == "SQLITE_FULL" or getattr(error.orig, "sqlstate", None) == "53100":
        return StorageUnavailable("the database's disk is full; free some space and try again")
    if name is None or name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return DatabaseUnavailable("the database is locked or out of reach; try again shortly")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR")):
        return StorageUnavailable("the database file cannot be read or written; check its folder and permissions")
    return None
