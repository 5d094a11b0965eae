"""A worker process that knows the toy jobs: `python -m tests.e2e.jobs.toy_worker HOME DATABASE_URL [lease seconds] [parent]`."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from app import logs
from app.jobs.supervisor import Pace
from app.jobs.worker import run_worker
from app.processes.lifelines import end_with_parent
from app.settings import Settings
from tests.e2e.jobs.toy_jobs import TOY_HANDLERS


def main(home: str, database_url: str, lease_seconds: str = "60", parent: str = "") -> None:
    """Work until told to stop, or until the process with the pid `parent` ends."""
    if parent:
        end_with_parent(int(parent))
    logs.configure("info")
    settings = Settings(home=Path(home), database_url=database_url, torch_threads=1)
    lease = float(lease_seconds)
    pace = Pace(lease=timedelta(seconds=lease), renew=lease / 4, grace=0.5)
    run_worker(settings, TOY_HANDLERS, housekeeping=print, pace=pace)


if __name__ == "__main__":
    main(*sys.argv[1:])
