"""A worker: one process that supervises attempts until it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import structlog

from app.database.engine import Database
from app.errors import DatabaseUnavailable, StorageUnavailable
from app.jobs.handler import Handler
from app.jobs.local import LocalEngine
from app.jobs.processes import name_of
from app.jobs.supervisor import Pace, Supervisor
from app.settings import Settings

_SECONDS_AFTER_ERROR = 1.0
_SECONDS_FOR_THREADS = 5.0
_logger = structlog.get_logger(__name__)


def run_worker(
    settings: Settings,
    handlers: Mapping[str, Handler],
    *,
    housekeeping: Callable[[], None],
    pace: Pace | None = None,
) -> None:
    """Work until SIGTERM or SIGINT; running attempts are then given back to the queue. From the main thread.

    `housekeeping` is called at the start and about once a minute, from a thread of its own.
    """
    pace = pace or Pace()
    database = Database(settings.resolved_database_url)
    engine = LocalEngine([*_driver(database), *_preloads(handlers)])
    supervisor = Supervisor(
        name_of(os.getpid()), database=database, engine=engine, handlers=handlers, settings=settings, pace=pace
    )
    stopping = threading.Event()
    threads = [_every(pace.renew, supervisor.beat, stopping), _every(pace.housekeeping, housekeeping, stopping)]
    with _orders_to_stop() as orders:
        _logger.info("worker_started", kinds=sorted(handlers))
        while not orders:
            _supervise(supervisor, pace)
        stopping.set()
        for thread in threads:
            thread.join(_SECONDS_FOR_THREADS)
        _succeeds(supervisor.stop)
    database.dispose()
    _logger.info("worker_stopped")


def _supervise(supervisor: Supervisor, pace: Pace) -> None:
    if not _succeeds(supervisor.tick):
        time.sleep(_SECONDS_AFTER_ERROR)
    else:
        time.sleep(pace.poll if supervisor.busy else pace.idle)


def _every(seconds: float, action: Callable[[], None], stopping: threading.Event) -> threading.Thread:
    """A thread that calls the action now and after every interval in seconds, sooner after an error."""

    def repeat() -> None:
        while not stopping.is_set():
            stopping.wait(seconds if _succeeds(action) else min(seconds, _SECONDS_AFTER_ERROR))

    thread = threading.Thread(target=repeat, name=action.__name__, daemon=True)
    thread.start()
    return thread


def _succeeds(action: Callable[[], None]) -> bool:
    """Call it, and log what it raises: a worker must outlive a busy database and a fault in a single job."""
    try:
        action()
    except (DatabaseUnavailable, StorageUnavailable) as error:
        _logger.warning("worker_waits", during=action.__name__, detail=error.detail)
        return False
    except Exception:
        _logger.exception("worker_error", during=action.__name__)
        return False
    return True


@contextmanager
def _orders_to_stop() -> Iterator[list[int]]:
    """The numbers of the SIGTERM and SIGINT received; a list, because setting an Event in a handler can deadlock."""
    orders: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        orders.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield orders
    finally:
        for number, action in previous.items():
            signal.signal(number, action)


def _driver(database: Database) -> list[str]:
    """The modules that SQLAlchemy loads for this database at the first connection."""
    dialect = database.engine.dialect
    return [type(dialect).__module__, dialect.dbapi.__name__] if dialect.dbapi else []


def _preloads(handlers: Mapping[str, Handler]) -> list[str]:
    """What the handlers ask for, and all that this program has loaded of ours: an attempt imports its main module again."""
    ours = {name for name in sys.modules if name.partition(".")[0] == __name__.partition(".")[0]}
    return sorted(ours.union(*(handler.preload for handler in handlers.values())))
