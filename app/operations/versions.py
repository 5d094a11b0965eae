"""Versions: look at, serve, download, quarantine, purge."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.audit import log
from app.database.engine import Database, database_now
from app.database.tables import ModelRow, VersionRow
from app.errors import VersionCorrupted, VersionGone, VersionRemembers, VersionServing
from app.operations.callers import Caller
from app.operations.lookups import find_model, find_version, lock_model, refuse_while_job_runs, refuse_while_jobs_wait
from app.operations.pages import PageQuery, paginate
from app.operations.views import model_view, version_view
from app.schemas import Model, Page, Version, VersionState
from app.settings import Settings
from app.store.manifest import WEIGHTS
from app.store.versions import VersionStore, verify_files

HOUSEKEEPING_ACTOR = "retention"
"""Who purges by itself, in the audit log."""


def list_versions(session: Session, name: str, page: PageQuery, *, state: VersionState | None = None) -> Page[Version]:
    """The versions of a model in ascending order, of one state only if asked."""
    model = find_model(session, name)
    statement = select(VersionRow).where(VersionRow.model_id == model.id)
    if state is not None:
        statement = statement.where(VersionRow.state == state)
    rows, next_token = paginate(session, statement, [VersionRow.number], "versions", page)
    return Page(items=[version_view(model, row) for row in rows], next_page_token=next_token)


def get_version(session: Session, name: str, number: int) -> Version:
    """One version, in whatever state; raises `ModelNotFound` and `VersionNotFound`."""
    model = find_model(session, name)
    return version_view(model, find_version(session, model, number))


def set_serving(session: Session, caller: Caller, name: str, number: int) -> Model:
    """Let a version answer from now on; raises `VersionRemembers` and `JobRunning`."""
    model = lock_model(session, name)
    version = find_version(session, model, number)
    if version.state != "available":
        raise VersionRemembers(
            f"version {number} is {version.state} and can never serve again; choose an available one"
        )
    refuse_while_job_runs(session, model)
    if model.serving_version != number:
        move_serving(session, model, number, actor=caller.actor, request_id=caller.request_id)
    return model_view(session, model)


def move_serving(session: Session, model: ModelRow, number: int, *, actor: str, request_id: str | None) -> None:
    """Point the model at a version, and log it."""
    details = {"from_version": model.serving_version} if model.serving_version else {}
    model.serving_version = number
    log.append(
        session,
        "serving.moved",
        actor=actor,
        request_id=request_id,
        model=model.name,
        version=number,
        details=details,
    )


def checked_weights(database: Database, settings: Settings, caller: Caller, name: str, number: int) -> tuple[Path, str]:
    """The safetensors file of an available version, and its digest, just checked.

    Raises `VersionGone` for a quarantined or purged version; `VersionCorrupted`, which is logged.
    """
    with database.reading() as session:
        model = find_model(session, name)
        version = find_version(session, model, number)
    if version.state != "available":
        raise VersionGone(f"version {number} is {version.state}; its weights are not given out")
    folder = VersionStore(settings.home).folder(name, number)
    try:
        verify_files(folder, {WEIGHTS: version.digest})
    except VersionCorrupted:
        report_corrupted(database, model.id, number, actor=caller.actor, request_id=caller.request_id)
        raise
    return folder / WEIGHTS, version.digest


def quarantine(
    session: Session,
    model: ModelRow,
    version: VersionRow,
    *,
    actor: str,
    request_id: str | None,
    forget_request: UUID | None = None,
) -> None:
    """Make a version unreachable at once: never served, rolled back to or exported again."""
    version.state = "quarantined"
    version.quarantined_at = database_now(session)
    log.append(
        session,
        "version.quarantined",
        actor=actor,
        request_id=request_id,
        model=model.name,
        version=version.number,
        forget_request=forget_request,
        details={"digest": version.digest},
    )


def purge_version(database: Database, settings: Settings, caller: Caller, name: str, number: int) -> Version:
    """Destroy a version's weights for ever; manifest and digest stay. Purging twice changes nothing.

    Raises `VersionServing` for the serving version and `JobRunning` while a job may build on it.
    """
    with database.writing() as session:
        model = lock_model(session, name)
        version = find_version(session, model, number)
        if model.serving_version == number:
            raise VersionServing(f"version {number} serves; move the pointer to another version, or delete the model")
        if version.state == "available":
            refuse_while_jobs_wait(session, model)
            quarantine(session, model, version, actor=caller.actor, request_id=caller.request_id)
    _destroy(database, settings, model.id, number, actor=caller.actor, request_id=caller.request_id)
    with database.reading() as session:
        return get_version(session, name, number)


def purge_all(
    database: Database, settings: Settings, model_id: UUID, *, actor: str, request_id: str | None = None
) -> None:
    """Destroy the weights of every quarantined version of a model."""
    quarantined = select(VersionRow.number).where(VersionRow.model_id == model_id, VersionRow.state == "quarantined")
    with database.reading() as session:
        numbers = list(session.scalars(quarantined))
    for number in numbers:
        _destroy(database, settings, model_id, number, actor=actor, request_id=request_id)


def purge_expired(database: Database, settings: Settings) -> None:
    """Destroy the weights of all versions whose retention is over, and those of deleted models."""
    with database.reading() as session:
        expired = database_now(session) - timedelta(days=settings.retention_days)
        due = (
            select(VersionRow.model_id, VersionRow.number)
            .join(ModelRow, ModelRow.id == VersionRow.model_id)
            .where(VersionRow.state == "quarantined")
            .where((VersionRow.quarantined_at <= expired) | ModelRow.deleted_at.is_not(None))
        )
        found = session.execute(due).all()
    for model_id, number in found:
        _destroy(database, settings, model_id, number, actor=HOUSEKEEPING_ACTOR, request_id=None)


def _destroy(
    database: Database, settings: Settings, model_id: UUID, number: int, *, actor: str, request_id: str | None
) -> None:
    """Destroy the weights of a quarantined version, then say so.

    In this order a crash in between leaves a version that still counts as quarantined, and the next purge repeats a
    deletion that is done; the other way round the log could claim a destruction that never happened.
    """
    with database.reading() as session:
        model = session.get_one(ModelRow, model_id)
    VersionStore(settings.home).purge_weights(model.name, number)
    with database.writing() as session:
        purged = session.execute(
            update(VersionRow)
            .where(VersionRow.model_id == model_id, VersionRow.number == number, VersionRow.state == "quarantined")
            .values(state="purged", purged_at=database_now(session))
            .returning(VersionRow.digest)
        ).scalar_one_or_none()
        if purged is not None:
            log.append(
                session,
                "version.purged",
                actor=actor,
                request_id=request_id,
                model=model.name,
                version=number,
                details={"digest": purged},
            )


def report_corrupted(database: Database, model_id: UUID, number: int, *, actor: str, request_id: str | None) -> None:
    """Log, once, that a version's files are not what was written."""
    with database.writing() as session:
        model = session.get_one(ModelRow, model_id)
        version = session.get_one(VersionRow, (model_id, number), with_for_update=True)
        if version.corrupted_at is not None:
            return
        version.corrupted_at = database_now(session)
        log.append(
            session,
            "version.corrupted",
            actor=actor,
            request_id=request_id,
            model=model.name,
            version=number,
            details={"digest": version.digest},
        )
