from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.database.engine import Database
from app.database.tables import JobRow, ModelRow
from app.jobs import queue
from app.jobs.handler import endings
from app.settings import Settings
from app.specs.architectures import Mlp
from app.specs.learning import Standard
from app.specs.originator import Originator
from app.specs.training import Training
from tests.e2e.jobs.toy_jobs import EFFECT, ENDING, TOY_HANDLERS, TOYS
from tests.e2e.processes import kill
from tests.waiting import HANGS_AFTER, wait_until

_ROOT = Path(__file__).parents[3]

sqlite_first = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
"""On both databases, of which only SQLite is quick enough for every run."""


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
            return queue.submit(session, kind, model, spec, by=Originator("local")).id

    def new_model(self) -> UUID:
        """A model that jobs can be about."""
        model = ModelRow(id=uuid4(), name=f"toy-{uuid4().hex}", dataset="mnist", created_at=datetime.now(UTC))
        model.architecture, model.learning, model.training = Mlp(), Standard(), Training()
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

    def running(self) -> dict[tuple[UUID, int], str]:
        """The stage of every running job, by job and fence."""
        with self.database.reading() as session:
            rows = session.scalars(select(JobRow).where(JobRow.status == "running"))
            return {(row.id, row.fence): row.progress["stage"] for row in rows}

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
        named = os.environ | {"FORGETTERY_HOME": str(self.settings.home)}  # by which a test finds what is left of it
        worker = subprocess.Popen(self.worker_command(lease_seconds), cwd=_ROOT, env=named)
        self.workers.append(worker)
        return worker

    def replace_dead_workers(self) -> None:
        """Start a worker for every one that is dead."""
        dead = [worker for worker in self.workers if worker.poll() is not None]
        for worker in dead:
            self.workers.remove(worker)
            self.start_worker()

    def stop_workers(self) -> None:
        """End every worker as an operator does, and wait for it."""
        for worker in self.workers:
            kill(worker.pid, signal.SIGCONT)
            worker.terminate()
        for worker in self.workers:
            worker.wait(timeout=HANGS_AFTER)
        self.workers.clear()

    def wait_for_worker(self, pid: int) -> None:
        """Wait for the end of a worker that was killed."""
        next(worker for worker in self.workers if worker.pid == pid).wait(timeout=HANGS_AFTER)

    def worker_command(self, lease_seconds: float = 60) -> list[str]:
        """The command line of a worker."""
        home, url = str(self.settings.home), self.settings.database_url
        return [sys.executable, "-m", "tests.e2e.jobs.toy_worker", home, url, str(lease_seconds)]


@pytest.fixture
def toys(database: Database, settings: Settings) -> Iterator[Toys]:
    toys = Toys(database, settings)
    yield toys
    toys.stop_workers()
