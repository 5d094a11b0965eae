"""Keeps the promises of the job table: claims, starts, watches and ends attempts, and takes over from the dead."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog

from app.database.engine import Database
from app.errors import StorageUnavailable
from app.jobs import queue, workers
from app.jobs.engine import ATTEMPTS_AT_ONCE, Engine, Order, Sight
from app.jobs.handler import Handler, endings
from app.jobs.queue import LEASE, Claim, LostClaim
from app.settings import Settings
from app.store.versions import VersionStore

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pace:
    """How often a worker does what, in seconds, and how many attempts it makes at once."""

    poll: float = 0.05
    idle: float = 0.1
    """Seconds between two looks at the queue while no attempt runs."""
    lease: timedelta = LEASE
    renew: float = 15
    look_for_dead: float = 1
    grace: float = 2
    """Seconds from TERM to KILL."""
    farewell: float = 10
    """Seconds that an attempt whose job has ended gets to clean up and exit."""
    housekeeping: float = 60
    attempts: int = ATTEMPTS_AT_ONCE


@dataclass
class _Supervised:
    claim: Claim
    lost_at: float | None = None


class Supervisor:
    """The attempts of one worker.

    `beat` runs in a thread of its own; everything else runs in the thread that made the supervisor.
    """

    def __init__(
        self,
        name: str,
        *,
        database: Database,
        engine: Engine,
        handlers: Mapping[str, Handler],
        settings: Settings,
        pace: Pace,
    ) -> None:
        self._name = name
        self._database = database
        self._engine = engine
        self._handlers = handlers
        self._ended = endings(handlers)
        self._settings = settings
        self._store = VersionStore(settings.home)
        self._pace = pace
        self._attempts: dict[str, _Supervised] = {}
        self._looked_for_dead_at = float("-inf")

    @property
    def busy(self) -> bool:
        """Whether any attempt runs."""
        return bool(self._attempts)

    def tick(self) -> None:
        """See to every attempt, take over from dead workers, start what may start; may be called again after any error."""
        for attempt in list(self._attempts.values()):
            self._attend(attempt)
        if time.monotonic() - self._looked_for_dead_at >= self._pace.look_for_dead:
            self._engine.warm()
            self._take_over()
            self._looked_for_dead_at = time.monotonic()
        while len(self._attempts) < self._pace.attempts and self._start_next():
            pass

    def beat(self) -> None:
        """Renew every lease, and let readiness see this worker."""
        with self._database.writing() as session:
            workers.seen(session, self._name)
            for attempt in list(self._attempts.values()):
                queue.renew(session, attempt.claim, lease=self._pace.lease)

    def stop(self) -> None:
        """End every attempt and give its job back to the queue; no death is counted."""
        for handle, attempt in list(self._attempts.items()):
            self._engine.stop(handle, self._pace.grace)
            with suppress(LostClaim), self._database.writing() as session:
                queue.release(session, attempt.claim, self._ended)
                _logger.info("job_released", job=str(attempt.claim.job_id))
            self._forget(handle)
        with self._database.writing() as session:
            workers.gone(session, self._name)

    def _attend(self, attempt: _Supervised) -> None:
        handle = attempt.claim.handle
        sight = self._engine.look(handle)
        with self._database.reading() as session:
            standing = queue.standing(session, attempt.claim)
        if sight in ("waiting", "running") and (standing == "continue" or self._says_farewell(attempt, standing)):
            return
        self._engine.stop(handle, self._pace.grace)
        if standing != "lost":
            self._settle(attempt.claim, sight)
        self._forget(handle)

    def _says_farewell(self, attempt: _Supervised, standing: queue.Standing) -> bool:
        """Whether the attempt may go on for a moment, because its job has ended: by its own hand, most likely."""
        if standing != "lost":
            return False
        attempt.lost_at = attempt.lost_at or time.monotonic()
        return time.monotonic() - attempt.lost_at < self._pace.farewell

    def _settle(self, claim: Claim, sight: Sight) -> None:
        """Say what became of a job whose attempt is gone; nothing if it said so itself in its last moment."""
        with suppress(LostClaim), self._database.writing() as session:
            if queue.standing(session, claim) == "cancel":
                queue.cancel(session, claim, self._ended)
                _logger.info("job_cancelled", job=str(claim.job_id), attempt=claim.fence)
            elif sight == "ended":
                queue.record_death(session, claim, self._ended)
                _logger.error("attempt_died", job=str(claim.job_id), attempt=claim.fence)
            else:
                queue.release(session, claim, self._ended)
                _logger.warning("attempt_lost", job=str(claim.job_id), attempt=claim.fence)

    def _take_over(self) -> None:
        with self._database.reading() as session:
            lapsed = queue.any_lapsed(session, self._name, self._ended.keys())
        if lapsed:
            with self._database.writing() as session:
                released = queue.release_dead(session, self._name, self._ended)
            _logger.warning("jobs_taken_over", former_owners=released)
            for handle in released:
                self._discard(handle)

    def _forget(self, handle: str) -> None:
        del self._attempts[handle]
        self._discard(handle)

    def _discard(self, handle: str) -> None:
        """Remove at once what an attempt that is over staged: it may hold what was forgotten meanwhile."""
        try:
            self._store.discard(handle)
        except StorageUnavailable as error:  # housekeeping will
            _logger.warning("attempt_not_discarded", attempt=handle, detail=error.detail)

    def _start_next(self) -> bool:
        claim = self._claim()
        if claim is None:
            return False
        # Known before it is started: the first start may wait seconds for torch, and the lease is renewed meanwhile.
        self._attempts[claim.handle] = _Supervised(claim)
        _logger.info("attempt_starts", job=str(claim.job_id), kind=claim.kind, attempt=claim.fence)
        # Should the fork server die now, this raises and the attempt looks `unknown`: the next tick gives the job back.
        self._engine.start(claim.handle, Order(claim, self._handlers[claim.kind], self._settings))
        return True

    def _claim(self) -> Claim | None:
        with self._database.reading() as session:
            if not queue.claimable(session, self._handlers.keys()):
                return None
        with self._database.writing() as session:
            return queue.claim(session, self._name, self._handlers.keys(), lease=self._pace.lease)
