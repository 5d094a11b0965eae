"""How long a job waits: from the commit that queued it to the end of its first torch operation.

One worker at its usual pace, jobs submitted one at a time at random moments, so that each finds the worker idle.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import logs
from app.database import migrate
from app.database.engine import Database
from app.database.tables import JobRow, ModelRow
from app.jobs import queue
from app.jobs.attempt import Attempt
from app.jobs.handler import Handler
from app.jobs.worker import run_worker
from app.processes.lifelines import end_with_parent
from app.settings import Settings
from app.specs.architectures import Mlp
from app.specs.learning import Standard
from app.specs.originator import Originator
from app.specs.training import Training

_SECONDS_FOR_A_JOB = 60.0


def multiply(attempt: Attempt) -> None:
    """Run one torch operation and say when it was done, by the clock that the benchmark reads as well."""
    import torch  # noqa: PLC0415  the worker that supervises must not import it

    torch.ones(64, 64).matmul(torch.ones(64, 64))
    with attempt.succeeding({"computed_at": time.time()}):
        pass


def ignore(_session: Session, _job: JobRow) -> None:
    """No row of a benchmark depends on how its job ended."""


def work(parent: int, home: str) -> None:
    """Be the worker, for as long as the parent lives."""
    end_with_parent(parent)
    logs.configure("warning")
    handlers = {"train": Handler(multiply, ignore, ("torch", "torchvision", "benchmarks.serving.jobs"))}
    run_worker(Settings(home=Path(home)), handlers, housekeeping=lambda: None)


def measure_waits(home: str, jobs: int) -> dict[str, object]:
    """Percentiles of the wait of `jobs` jobs, in milliseconds, and of the first one, in seconds."""
    settings = Settings(home=Path(home))
    migrate.upgrade(settings.resolved_database_url)
    database = Database(settings.resolved_database_url)
    model = _model(database)
    program = f"from benchmarks.serving import jobs; jobs.work({os.getpid()}, {home!r})"
    worker = subprocess.Popen([sys.executable, "-c", program])
    try:
        first = _wait_of_one(database, model)
        waits = [_wait_of_one(database, model) for _ in range(jobs)]
    finally:
        worker.terminate()
        worker.wait()
        database.dispose()
    percentiles = statistics.quantiles(waits, n=100, method="inclusive")
    return {
        "jobs": jobs,
        "first_seconds": round(first, 2),
        "p50_ms": round(percentiles[49] * 1000, 1),
        "p99_ms": round(percentiles[98] * 1000, 1),
    }


def _model(database: Database) -> UUID:
    model = ModelRow(id=uuid4(), name=f"benchmark-{uuid4().hex}", dataset="mnist", created_at=datetime.now(UTC))
    model.architecture, model.learning, model.training = Mlp(), Standard(), Training()
    with database.writing() as session:
        session.add(model)
    return model.id


def _wait_of_one(database: Database, model: UUID) -> float:
    """Seconds from the commit to the end of the torch operation of one job."""
    time.sleep(random.uniform(0.2, 0.4))  # noqa: S311  not for secrets
    with database.writing() as session:
        job_id = queue.submit(session, "train", model, {}, by=Originator("local")).id
    submitted_at = time.time()
    while time.time() < submitted_at + _SECONDS_FOR_A_JOB:
        time.sleep(0.01)
        with database.reading() as session:
            job = session.scalars(select(JobRow).where(JobRow.id == job_id)).one()
            if job.result is not None:
                return float(job.result["computed_at"]) - submitted_at
    raise TimeoutError(f"job {job_id} has not ended")
