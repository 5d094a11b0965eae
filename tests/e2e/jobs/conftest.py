from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.database.engine import Database
from app.database.tables import JobRow, ModelRow
from app.jobs import queue
from app.jobs.handlers import endings
from app.settings import Settings
from tests.e2e.jobs.toy_jobs import EFFECT, ENDING, TOY_HANDLERS, TOYS

_ROOT = Path(__file__).parents[3]


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Return when the condition holds; fail if it does not within a time that only a fault exceeds."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """The pids of a process's children."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants_of(pid: int) -> list[int]:
    """The pids of a process's children, their children and so on: resource tracker, fork server, attempts."""
    return [found for child in children_of(pid) for found in (child, *descendants_of(child))]


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class Toys:
    """A database with toy jobs, and worker processes that compute them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.workers: list[subprocess.Popen[bytes]] = []
        with database.writing() as session:
            TOYS.create_all(session.connection())

    def submit(self, kind: str, **spec: Any) -> UUID:
        """Queue a job about a model of its own."""
        return self.submit_about(self.new_model(), kind, **spec)

    def submit_about(self, model: UUID, kind: str, **spec: Any) -> UUID:
        """Queue a publishing job about this model."""
        with self.database.writing() as session:
            return queue.submit(session, kind, model, spec, actor="local", request_id=None).id

    def new_model(self) -> UUID:
        """A model that jobs can be about."""
        model = ModelRow(id=uuid4(), name=f"toy-{uuid4().hex}", dataset="mnist", created_at=datetime.now(UTC))
        model.architecture = model.learning = model.training = {}
        with self.database.writing() as session:
            session.add(model)
        return model.id

    def cancel(self, job: UUID) -> None:
        """Ask for a cancellation as the API does."""
        with self.database.writing() as session:
            queue.request_cancel(session, job, endings(TOY_HANDLERS))

    def job(self, job: UUID) -> JobRow:
        """The job's row as it is now."""
        with self.database.reading() as session:
            row = session.scalars(select(JobRow).where(JobRow.id == job)).one()
            session.expunge(row)
            return row

    def wait(self, job: UUID, *statuses: str) -> JobRow:
        """Wait until the job has one of the statuses."""
        wait_until(lambda: self.job(job).status in statuses)
        return self.job(job)

    def all_ended(self) -> bool:
        """Whether no job is queued or running."""
        open_jobs = select(JobRow.id).where(JobRow.status.in_(["queued", "running"]))
        with self.database.reading() as session:
            return session.scalars(open_jobs).first() is None

    def effects(self) -> list[tuple[str, int]]:
        """Job and fence of every effect."""
        with self.database.reading() as session:
            return [(row.job, row.fence) for row in session.execute(select(EFFECT))]

    def endings(self) -> list[tuple[str, str]]:
        """Job and status of every ending that a handler was told of."""
        with self.database.reading() as session:
            return [(row.job, row.status) for row in session.execute(select(ENDING))]

    def start_worker(self, lease_seconds: float = 60) -> subprocess.Popen[bytes]:
        """Start a worker process; the fixture ends it."""
        worker = subprocess.Popen(self.worker_command(lease_seconds), cwd=_ROOT)
        self.workers.append(worker)
        return worker

    def worker_command(self, lease_seconds: float = 60, embedded: str = "") -> list[str]:
        """The command line of a worker."""
        home, url = str(self.settings.home), self.settings.database_url
        return [sys.executable, "-m", "tests.e2e.jobs.toy_worker", home, url, str(lease_seconds), embedded]


@pytest.fixture
def toys(database: Database, settings: Settings) -> Iterator[Toys]:
    toys = Toys(database, settings)
    yield toys
    for worker in toys.workers:
        kill(worker.pid, signal.SIGCONT)
        worker.terminate()
    for worker in toys.workers:
        worker.wait(timeout=30)
