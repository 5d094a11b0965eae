"""Kinds of job that the tests and their worker processes share. An effect is a row in `effect`, an ending one in `ending`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.orm import Session

from app.database.engine import Database
from app.database.tables import JobRow
from app.errors import DatabaseUnavailable, NotApplicable
from app.jobs.attempt import Attempt
from app.jobs.handler import Handler
from app.store.versions import VersionStore

TOYS = MetaData()
EFFECT = Table("effect", TOYS, Column("job", String(36)), Column("fence", Integer))
"""Without any unique constraint, so that an effect applied twice would be seen."""
ENDING = Table("ending", TOYS, Column("job", String(36)), Column("status", String(20)))


def have_an_effect(attempt: Attempt) -> None:
    """Work for `steps` times 20 ms, then insert one row."""
    for step in range(attempt.spec["steps"]):
        attempt.progress(step / attempt.spec["steps"], "working", f"step {step}")
        time.sleep(0.02)
    attempt.progress(1.0, "ending", "about to commit")
    _succeed(attempt)


def wait_for_file(attempt: Attempt) -> None:
    """Write the own pid to `started`, and succeed when the file `goal` is there."""
    Path(f"{attempt.spec['started']}-{attempt.fence}").write_text(str(os.getpid()))
    while not Path(attempt.spec["goal"]).exists():
        time.sleep(0.01)
    _succeed(attempt)


def wait_for_no_lock(attempt: Attempt) -> None:
    """As `wait_for_file`, but where the database is locked then, touch `refused` instead of waiting for it."""
    attempt.database = Database(attempt.settings.resolved_database_url, busy_seconds=0)
    try:
        wait_for_file(attempt)
    except DatabaseUnavailable:
        Path(attempt.spec["refused"]).touch()
        raise


def stage(attempt: Attempt) -> None:
    """Stage a file, write the own pid to `started`, and fail when the file `goal` is there."""
    (VersionStore(attempt.settings.home).stage(attempt.handle) / "weights").write_text("remember")
    Path(f"{attempt.spec['started']}-{attempt.fence}").write_text(str(os.getpid()))
    while not Path(attempt.spec["goal"]).exists():
        time.sleep(0.01)
    refuse(attempt)


def ignore_term(attempt: Attempt) -> None:
    """As `wait_for_file`, deaf to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait_for_file(attempt)


def refuse(_attempt: Attempt) -> None:
    """Raise what a caller may know."""
    raise NotApplicable("this toy cannot be applied to anything")


def crash(_attempt: Attempt) -> None:
    """Raise what no caller may know."""
    raise ValueError("secret detail")


def die(_attempt: Attempt) -> None:
    """End as a process that runs out of memory does."""
    os.kill(os.getpid(), signal.SIGKILL)


def do_nothing(_attempt: Attempt) -> None:
    """Return without succeeding."""


def note_ending(session: Session, job: JobRow) -> None:
    """Insert what the job ended as."""
    session.execute(insert(ENDING).values(job=str(job.id), status=job.status))


def _succeed(attempt: Attempt) -> None:
    with attempt.succeeding({"fence": attempt.fence}) as session:
        session.execute(insert(EFFECT).values(job=str(attempt.job_id), fence=attempt.fence))


TOY_HANDLERS = {
    function.__name__: Handler(function, note_ending, ("numpy", __name__))
    for function in (
        have_an_effect,
        wait_for_file,
        wait_for_no_lock,
        stage,
        ignore_term,
        refuse,
        crash,
        die,
        do_nothing,
    )
}
