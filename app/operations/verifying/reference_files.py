"""The files of references: where they are, and when they are destroyed."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from app.database.engine import Database, database_now
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, ReferenceRow
from app.errors import StorageUnavailable
from app.settings import Settings
from app.store.versions import VersionStore

_logger = structlog.get_logger(__name__)


def store_of(settings: Settings) -> VersionStore:
    """The store of references, apart from the versions: code that serves or exports versions never finds one."""
    return VersionStore(settings.home / "references")


def purge(database: Database, settings: Settings, model: str, row: ReferenceRow) -> None:
    """Destroy a reference's weights, then say so; its manifest stays. Raises `StorageUnavailable`."""
    store_of(settings).purge_weights(model, row.number)
    with database.writing() as session:
        session.execute(
            update(ReferenceRow)
            .where(ReferenceRow.model_id == row.model_id, ReferenceRow.number == row.number)
            .where(ReferenceRow.state == "available")
            .values(state="purged", purged_at=database_now(session))
        )


def purge_all(database: Database, settings: Settings, model_id: UUID) -> None:
    """Destroy every reference of a model; raises `StorageUnavailable`."""
    with database.reading() as session:
        model = session.get_one(ModelRow, model_id)
        rows = list(session.scalars(_available().where(ReferenceRow.model_id == model_id)))
    for row in rows:
        purge(database, settings, model.name, row)


def purge_outdated(database: Database, settings: Settings) -> None:
    """Destroy the references of deleted models, and those that know what was forgotten before the retention began.

    A reference that an unfinished verification or comparison may still read stays until that has ended.
    """
    with database.reading() as session:
        names = dict(session.execute(select(ModelRow.id, ModelRow.name)).all())
        due = _due(session, settings)
    for row in due:
        try:
            purge(database, settings, names[row.model_id], row)
        except StorageUnavailable as error:
            _logger.error("reference_not_purged", number=row.number, detail=error.detail)  # noqa: TRY400  a named fault


def _available() -> Select[ReferenceRow]:
    return select(ReferenceRow).where(ReferenceRow.state == "available")


def _due(session: Session, settings: Settings) -> list[ReferenceRow]:
    expired = database_now(session) - timedelta(days=settings.retention_days)
    deleted = set(session.scalars(select(ModelRow.id).where(ModelRow.deleted_at.is_not(None))))
    reading = select(JobRow.model_id).where(
        JobRow.kind.in_(["verify", "compare"]), JobRow.status.in_(["queued", "running"])
    )
    read = set(session.scalars(reading))
    forgotten = _forgotten_before(session, expired)
    return [
        row
        for row in session.scalars(_available())
        if row.model_id in deleted
        or (row.model_id not in read and forgotten.get(row.model_id, set()) - set(row.forget_requests))
    ]


def _forgotten_before(session: Session, expired: datetime) -> dict[UUID, set[str]]:
    """The requests, by model, that were completed by then."""
    statement = select(ForgetRequestRow.model_id, ForgetRequestRow.id).where(
        ForgetRequestRow.status == "completed", ForgetRequestRow.completed_at <= expired
    )
    found: dict[UUID, set[str]] = {}
    for model_id, request_id in session.execute(statement):
        found.setdefault(model_id, set()).add(str(request_id))
    return found
