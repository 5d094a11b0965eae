"""A worker, on the main thread of its process: `forgettery worker`, and what a server starts for itself."""

from __future__ import annotations

from app import logs
from app.database.engine import Database
from app.database.migrate import check_revision
from app.jobs.worker import run_worker
from app.operations.administration.housekeeping import keep_house
from app.operations.handlers import HANDLERS
from app.settings import Settings


def work(settings: Settings) -> None:
    """Compute jobs until SIGTERM; raises `NotReady` unless the database is at the revision of this program."""
    logs.configure(settings.log_level)
    check_revision(settings.resolved_database_url)
    database = Database(settings.resolved_database_url)

    def housekeeping() -> None:
        keep_house(database, settings)

    run_worker(settings, HANDLERS, housekeeping=housekeeping)
