"""A worker as a process of its own: `forgettery worker`, and what a server starts for itself."""

from __future__ import annotations

from app import logs
from app.database.engine import Database
from app.database.migrate import check_revision
from app.jobs.worker import run_worker
from app.operations.handlers import HANDLERS
from app.operations.housekeeping import keep_house
from app.settings import Settings


def work(settings: Settings, *, embedded: bool = False) -> None:
    """Compute jobs until SIGTERM; raises `NotReady` unless the database is at the revision of this program.

    An `embedded` worker also ends with the server that started it.
    """
    logs.configure(settings.log_level)
    check_revision(settings.resolved_database_url)
    database = Database(settings.resolved_database_url)

    def housekeeping() -> None:
        keep_house(database, settings)

    run_worker(settings, HANDLERS, embedded=embedded, housekeeping=housekeeping)


if __name__ == "__main__":
    work(Settings(), embedded=True)
