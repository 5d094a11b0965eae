"""The guard of a version: take it out of service at once, destroy its file, then say so."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.audit import log
from app.contract.versions import Version
from app.database.engine import Database, database_now
from app.database.tables import ModelRow, VersionRow
from app.errors import GuardNotFound, StorageUnavailable
from app.operations.caller import HOUSEKEEPING, Caller
from app.operations.lookups import find_model, find_version, lock_model, refuse_while_job_runs
from app.operations.views import version_view
from app.settings import Settings
from app.specs.originator import Originator
from app.store.manifest import GUARD
from app.store.versions import VersionStore

_logger = structlog.get_logger(__name__)


def delete_guard(database: Database, settings: Settings, caller: Caller, name: str, number: int) -> Version:
    """Destroy what a version's guard knows; its classifier answers alone from the first of the two commits on.

    Raises `GuardNotFound` where there is none (any more), and `JobRunning` while a job may carry it into a new version.
    """
    with database.writing() as session:
        model = lock_model(session, name)
        version = find_version(session, model, number)
        if version.manifest.get("guard") is None:
            raise GuardNotFound(f"version {number} never had a guard; the versions' `guard` says which have one")
        if version.guard_deleted_at is not None:
            raise GuardNotFound(f"the guard of version {number} was deleted; the audit log says when")
        refuse_while_job_runs(session, model)
        version.guard_deleted_at = database_now(session)
    _destroy(database, settings, model.id, number, by=caller.by)
    with database.reading() as session:
        model = find_model(session, name)
        return version_view(model, find_version(session, model, number))


def take_out_of_service(session: Session, version: VersionRow) -> None:
    """Take the guard of a quarantined version out of service; `destroy_deleted` then destroys it."""
    if version.manifest.get("guard") is not None and version.guard_deleted_at is None:
        version.guard_deleted_at = database_now(session)


def destroy_deleted(database: Database, settings: Settings) -> None:
    """Finish every guard's deletion that was begun: for quarantined versions, and where a process died in between."""
    begun = select(VersionRow.model_id, VersionRow.number).where(
        VersionRow.guard_deleted_at.is_not(None), VersionRow.guard_destroyed_at.is_(None)
    )
    with database.reading() as session:
        found = session.execute(begun).all()
    for model_id, number in found:
        try:
            _destroy(database, settings, model_id, number, by=HOUSEKEEPING)
        except StorageUnavailable as error:
            _logger.error("guard_not_destroyed", number=number, detail=error.detail)  # noqa: TRY400  a named fault


def _destroy(database: Database, settings: Settings, model_id: UUID, number: int, *, by: Originator) -> None:
    """Remove the file, then log it: a crash in between repeats a removal that is done, and never logs one that is not."""
    with database.reading() as session:
        model = session.get_one(ModelRow, model_id)
    VersionStore(settings.home).remove_file(model.name, number, GUARD)
    with database.writing() as session:
        destroyed = session.execute(
            update(VersionRow)
            .where(VersionRow.model_id == model_id, VersionRow.number == number)
            .where(VersionRow.guard_deleted_at.is_not(None), VersionRow.guard_destroyed_at.is_(None))
            .values(guard_destroyed_at=database_now(session))
            .returning(VersionRow.manifest)
        ).scalar_one_or_none()
        if destroyed is None:
            return  # another process was faster
        log.append(
            session,
            "guard.deleted",
            by=by,
            model=model.name,
            version=number,
            details={"digest": destroyed["files"][GUARD], "classes": destroyed["guard"]["classes"]},
        )
