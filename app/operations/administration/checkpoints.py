"""Checkpoints of the log: sign and publish them as time goes by, and refuse to start behind one that was published."""

from __future__ import annotations

from datetime import timedelta

import structlog

from app.audit import checkpoints, signing_keys
from app.audit.checkpoints import Publication
from app.database.engine import Database
from app.errors import CheckpointNotFound, StorageUnavailable
from app.settings import Settings

_logger = structlog.get_logger(__name__)


def publication_of(settings: Settings) -> Publication:
    """Where this server's checkpoints are published."""
    return Publication(settings.resolved_checkpoint_url)


def sign_if_due(database: Database, settings: Settings) -> None:
    """Sign a checkpoint where the log has grown since one that is old enough, and publish the newest.

    Publishing comes after the commit: a checkpoint that a crash left unpublished is published the next time. Without
    signing keys nothing is done. Raises StorageUnavailable, and IntegrityViolation as `checkpoints.sign` does.
    """
    if not signing_keys.generations(settings.resolved_signing_keys):
        return
    with database.reading() as session:
        due = checkpoints.due(session, timedelta(hours=settings.checkpoint_hours))
    if due:
        published = checkpoints.newest_published(settings.resolved_signing_keys, publication_of(settings))
        with database.writing() as session:
            checkpoints.sign(session, settings.resolved_signing_keys, published)
    try:
        with database.reading() as session:
            newest = checkpoints.newest(session)
    except CheckpointNotFound:
        return
    publication_of(settings).publish(newest)


def check_start(database: Database, settings: Settings) -> None:
    """Raise IntegrityViolation where the log is behind, or beside, what was published; what cannot be read is told."""
    try:
        published = checkpoints.newest_published(settings.resolved_signing_keys, publication_of(settings))
    except StorageUnavailable as error:
        _logger.warning("published_checkpoints_not_read", detail=error.detail)
        return
    with database.reading() as session:
        checkpoints.check_begins_with_published(session, published)
