"""What the worker does about once a minute: end retention, sweep orphans, drop old idempotency keys."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select

from app.database.engine import Database, database_now
from app.database.tables import IdempotencyRow, JobRow, ModelRow, VersionRow
from app.operations import versions
from app.settings import Settings
from app.store.versions import VersionStore

IDEMPOTENCY_KEPT = timedelta(hours=24)


def keep_house(database: Database, settings: Settings) -> None:
    """Do all of it; each part can be repeated at any time."""
    versions.purge_expired(database, settings)
    _sweep_store(database, settings)
    _drop_idempotency_keys(database)


def _sweep_store(database: Database, settings: Settings) -> None:
    """Remove folders that dead attempts left behind."""
    with database.reading() as session:
        numbered = select(ModelRow.name, VersionRow.number).join(ModelRow, ModelRow.id == VersionRow.model_id)
        known = {(name, number) for name, number in session.execute(numbered)}
        running = select(JobRow.id, JobRow.fence).where(JobRow.status == "running")
        live = {f"{job_id}-{fence}" for job_id, fence in session.execute(running)}
    VersionStore(settings.home).sweep(known, live)


def _drop_idempotency_keys(database: Database) -> None:
    with database.reading() as session:
        expired = IdempotencyRow.created_at < database_now(session) - IDEMPOTENCY_KEPT
        if session.scalar(select(IdempotencyRow.key).where(expired).limit(1)) is None:
            return
    with database.writing() as session:
        session.execute(delete(IdempotencyRow).where(expired))
