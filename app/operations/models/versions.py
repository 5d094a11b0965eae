"""Versions: look at, serve, download, quarantine, purge."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Select, exists, select, update
from sqlalchemy.orm import Session

from app.audit import log
from app.contract.lists import Page
from app.contract.models import Model
from app.contract.versions import Version, VersionState
from app.database.engine import Database, database_now
from app.database.tables import JobRow, ModelRow, VerificationRow, VersionRow
from app.errors import (
    StorageUnavailable,
    VerificationPending,
    VersionCorrupted,
    VersionGone,
    VersionRemembers,
    VersionServing,
)
from app.operations.caller import HOUSEKEEPING, Caller
from app.operations.lookups import find_model, find_version, lock_model, refuse_while_job_runs, refuse_while_jobs_wait
from app.operations.models import guards
from app.operations.pages import PageQuery, paginate
from app.operations.views import model_view, version_view
from app.settings import Settings
from app.specs.originator import Originator
from app.store.manifest import WEIGHTS
from app.store.versions import VersionStore, open_checked

_logger = structlog.get_logger(__name__)


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
    moved_from, model.serving_version = model.serving_version, number
    if moved_from != number:
        log_moved(session, model, moved_from, by=caller.by)
    return model_view(session, model)


def log_moved(session: Session, model: ModelRow, moved_from: int | None, *, by: Originator) -> None:
    """Log that another version serves now."""
    log.append(
        session,
        "serving.moved",
        by=by,
        model=model.name,
        version=model.serving_version,
        details={"from_version": moved_from} if moved_from else {},
    )


@dataclass(frozen=True)
class Weights:
    """An opened safetensors file, so that not even a purge can change what is read from it."""

    file: BinaryIO
    num_bytes: int
    digest: str


def open_weights(database: Database, settings: Settings, caller: Caller, name: str, number: int) -> Weights:
    """The weights of an available version, their digest just checked on the file that is handed over.

    Raises `VersionGone` for a quarantined or purged version; `VersionCorrupted`, which is logged.
    """
    version = _available(database, name, number)
    path = VersionStore(settings.home).folder(name, number) / WEIGHTS
    try:
        file = open_checked(path, version.digest)
    except VersionCorrupted:
        _available(database, name, number)  # a purge may just have taken the file away
        report_corrupted(database, version.model_id, number, by=caller.by)
        raise
    try:
        _available(database, name, number)
    except BaseException:
        file.close()
        raise
    return Weights(file, os.fstat(file.fileno()).st_size, version.digest)


def _available(database: Database, name: str, number: int) -> VersionRow:
    with database.reading() as session:
        version = find_version(session, find_model(session, name), number)
    if version.state != "available":
        raise VersionGone(f"version {number} is {version.state}; its weights are not given out")
    return version


def quarantine(session: Session, versions: Select[VersionRow]) -> list[VersionRow]:
    """Make versions unreachable at once: never served, rolled back to or exported again.

    Locks them in the order of their numbers. The caller logs this, like everything, at the end of the transaction.
    """
    found = list(session.scalars(versions.order_by(VersionRow.number).with_for_update()))
    for version in found:
        version.state = "quarantined"
        version.quarantined_at = database_now(session)
        guards.take_out_of_service(session, version)
    session.flush()
    return found


def log_quarantined(
    session: Session,
    model: ModelRow,
    quarantined: list[VersionRow],
    *,
    by: Originator,
    forget_request: UUID | None = None,
) -> None:
    """Log that these versions are out of reach."""
    for version in quarantined:
        log.append(
            session,
            "version.quarantined",
            by=by,
            model=model.name,
            version=version.number,
            forget_request=forget_request,
            details={"digest": version.digest},
        )


def available_versions(model: ModelRow) -> Select[VersionRow]:
    """Statement for the model's available versions."""
    return select(VersionRow).where(VersionRow.model_id == model.id, VersionRow.state == "available")


def purge_version(database: Database, settings: Settings, caller: Caller, name: str, number: int) -> Version:
    """Destroy a version's weights for ever; manifest and digest stay. Purging twice changes nothing.

    Raises `VersionServing` for the serving version, `JobRunning` while a job may build on it, and
    `VerificationPending`.
    """
    with database.writing() as session:
        model = lock_model(session, name)
        version = find_version(session, model, number)
        if model.serving_version == number:
            raise VersionServing(f"version {number} serves; move the pointer to another version, or delete the model")
        _refuse_while_verified(session, version)
        if version.state == "available":
            refuse_while_jobs_wait(session, model)
            quarantined = quarantine(session, available_versions(model).where(VersionRow.number == number))
            log_quarantined(session, model, quarantined, by=caller.by)
    _destroy(database, settings, model.id, number, by=caller.by)
    with database.reading() as session:
        return get_version(session, name, number)


def purge_all(database: Database, settings: Settings, model_id: UUID, *, by: Originator) -> None:
    """Destroy the weights of a model's quarantined versions; while the model exists, those to be verified stay."""
    quarantined = (
        select(VersionRow.number)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(VersionRow.model_id == model_id, VersionRow.state == "quarantined")
        .where(ModelRow.deleted_at.is_not(None) | ~_awaits_verification())
    )
    with database.reading() as session:
        numbers = list(session.scalars(quarantined))
    for number in numbers:
        _destroy(database, settings, model_id, number, by=by)


def purge_expired(database: Database, settings: Settings) -> None:
    """Destroy the weights of all versions whose retention is over, and those of deleted models."""
    with database.reading() as session:
        expired = database_now(session) - timedelta(days=settings.retention_days)
        due = (
            select(VersionRow.model_id, VersionRow.number)
            .join(ModelRow, ModelRow.id == VersionRow.model_id)
            .where(VersionRow.state == "quarantined")
            .where(
                ModelRow.deleted_at.is_not(None) | ((VersionRow.quarantined_at <= expired) & ~_awaits_verification())
            )
        )
        found = session.execute(due).all()
    for model_id, number in found:
        try:
            _destroy(database, settings, model_id, number, by=HOUSEKEEPING)
        except StorageUnavailable as error:
            _logger.error("version_not_purged", number=number, detail=error.detail)  # noqa: TRY400  a named fault


def _awaits_verification() -> ColumnElement[bool]:
    """Whether a verification is still to look at this version, and was asked for before any purge."""
    return exists().where(
        VerificationRow.model_id == VersionRow.model_id,
        VerificationRow.original_version == VersionRow.number,
        VerificationRow.before_purge,
        JobRow.id == VerificationRow.job_id,
        JobRow.status.in_(["queued", "running"]),
    )


def _refuse_while_verified(session: Session, version: VersionRow) -> None:
    statement = select(VersionRow.number).where(
        VersionRow.model_id == version.model_id, VersionRow.number == version.number, _awaits_verification()
    )
    if session.scalar(statement) is not None:
        raise VerificationPending(
            f"a verification still compares with version {version.number}; wait until its job has ended, or cancel it"
        )


def _destroy(database: Database, settings: Settings, model_id: UUID, number: int, *, by: Originator) -> None:
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
            log.append(session, "version.purged", by=by, model=model.name, version=number, details={"digest": purged})


def look_again(database: Database, version: VersionRow) -> VersionRow:
    """The version, read anew because its files were not what they should be; raises `VersionGone`.

    A purge, or the deletion of its guard, may just have taken them away.
    """
    with database.reading() as session:
        now = session.get_one(VersionRow, (version.model_id, version.number))
    if now.state != "available":
        raise VersionGone(f"version {now.number} is {now.state}; its weights cannot be read any more")
    return now


def report_corrupted(database: Database, model_id: UUID, number: int, *, by: Originator) -> None:
    """Log, once, that a version's files are not what was written."""
    with database.writing() as session:
        model = session.get_one(ModelRow, model_id)
        version = session.get_one(VersionRow, (model_id, number), with_for_update=True)
        if version.corrupted_at is not None or version.state != "available":
            return  # said before, or its files were just taken away on purpose
        version.corrupted_at = database_now(session)
        log.append(
            session,
            "version.corrupted",
            by=by,
            model=model.name,
            version=number,
            details={"digest": version.digest},
        )
