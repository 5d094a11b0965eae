"""What the worker does about once a minute: end retention, sweep orphans, drop old idempotency keys."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import delete, select

from app.database.engine import Database, database_now
from app.database.tables import IdempotencyRow, JobRow, ModelRow, ReferenceRow, VersionRow
from app.errors import DatabaseUnavailable, IntegrityViolation, StorageUnavailable
from app.jobs import queue
from app.operations.administration import checkpoints
from app.operations.models import guards, versions
from app.operations.verifying import observation_files, reference_files
from app.settings import Settings
from app.store.versions import VersionStore

IDEMPOTENCY_KEPT = timedelta(hours=24)
_logger = structlog.get_logger(__name__)


def keep_house(database: Database, settings: Settings) -> None:
    """Do everything; each part can be repeated at any time, and none waits for another to succeed."""
    for part in (
        versions.purge_expired,
        guards.destroy_deleted,
        reference_files.purge_outdated,
        observation_files.destroy_outdated,
        _sweep_store,
        _drop_idempotency_keys,
        checkpoints.sign_if_due,
    ):
        try:
            part(database, settings)
        except (StorageUnavailable, DatabaseUnavailable, IntegrityViolation) as error:
            _logger.error("housekeeping_failed", part=part.__name__, detail=error.detail)  # noqa: TRY400  a named fault


def _sweep_store(database: Database, settings: Settings) -> None:
    """Remove folders that dead attempts left behind."""
    with database.reading() as session:
        numbered = select(ModelRow.name, VersionRow.number).join(ModelRow, ModelRow.id == VersionRow.model_id)
        known = {(name, number) for name, number in session.execute(numbered)}
        retrained = select(ModelRow.name, ReferenceRow.number).join(ModelRow, ModelRow.id == ReferenceRow.model_id)
        references = {(name, number) for name, number in session.execute(retrained)}
        running = select(JobRow.id, JobRow.fence).where(JobRow.status == "running")
        live = {queue.handle_of(job_id, fence) for job_id, fence in session.execute(running)}
    VersionStore(settings.home).sweep(known, live)
    reference_files.store_of(settings).sweep(references, live)


def _drop_idempotency_keys(database: Database, settings: Settings) -> None:  # noqa: ARG001  one signature
    with database.reading() as session:
        expired = IdempotencyRow.created_at < database_now(session) - IDEMPOTENCY_KEPT
        if session.scalar(select(IdempotencyRow.key).where(expired).limit(1)) is None:
            return
    with database.writing() as session:
        session.execute(delete(IdempotencyRow).where(expired))
