"""One attempt at a job, as its handler sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from app.database.engine import Database
from app.errors import DatabaseUnavailable
from app.jobs import queue
from app.jobs.queue import Claim
from app.settings import Settings
from app.specs.originator import Originator

_SECONDS_BETWEEN_PROGRESS = 0.25
_logger = structlog.get_logger(__name__)


class Attempt:
    """One attempt at a job: what is asked for, where to say how far it is, and the one way to publish its effects."""

    def __init__(self, claim: Claim, settings: Settings, database: Database) -> None:
        self.claim = claim
        self.settings = settings
        self.database = database
        self._stage = ""
        self._reported_at = float("-inf")

    @property
    def job_id(self) -> UUID:
        """The id of the job."""
        return self.claim.job_id

    @property
    def model_id(self) -> UUID:
        """The id of the model that the job is about."""
        return self.claim.model_id

    @property
    def kind(self) -> str:
        """The kind of job."""
        return self.claim.kind

    @property
    def spec(self) -> dict[str, Any]:
        """What was asked for, as `submit` stored it."""
        return self.claim.spec

    @property
    def by(self) -> Originator:
        """Who asked for the job, and by which request."""
        return self.claim.by

    @property
    def fence(self) -> int:
        """The number of this attempt's claim."""
        return self.claim.fence

    @property
    def handle(self) -> str:
        """Names this attempt among all attempts of all jobs; safe as a file name, for staged artefacts."""
        return self.claim.handle

    def progress(self, fraction: float, stage: str, message: str) -> None:
        """Say how far the job is: `fraction` in 0..1. At most 4 a second are written, and every change of stage.

        Raises LostClaim when the job is no longer this attempt's. A busy database only costs the report.
        """
        now = time.monotonic()
        if stage == self._stage and now - self._reported_at < _SECONDS_BETWEEN_PROGRESS:
            return
        self._stage, self._reported_at = stage, now
        try:
            with self.database.writing() as session:
                queue.report_progress(session, self.claim, fraction, stage, message)
        except DatabaseUnavailable as error:
            _logger.warning("progress_not_written", job=str(self.job_id), detail=error.detail)

    @contextmanager
    def succeeding(self, result: dict[str, Any]) -> Iterator[Session]:
        """The one transaction that ends the job as succeeded and holds its effects, committed when the block ends.

        Raises LostClaim before the block when the job is no longer this attempt's; any error in the block leaves
        nothing of it.
        """
        with self.database.writing() as session:
            queue.succeed(session, self.claim, result)
            yield session
