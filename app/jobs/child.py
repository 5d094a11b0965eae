"""The process of one attempt: forked from the fork server, guarded, in a process group of its own.

The fork server imports this module, and what the handlers preload, before it forks: nothing here may start a thread.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app import logs
from app.database.engine import Database
from app.database.tables import ModelRow
from app.errors import DatabaseUnavailable, ForgetteryError, InternalError, StorageUnavailable
from app.jobs import queue
from app.jobs.attempt import Attempt
from app.jobs.engine import ATTEMPTS_AT_ONCE, Order
from app.jobs.handler import Handler
from app.jobs.queue import LostClaim
from app.jobs.threads import job_threads
from app.processes.lifelines import end_with_parent, end_with_writer

_NICENESS = 10
"""An attempt gives way to the server and the predictor, so that predictions stay quick while a model trains."""

_SECONDS_BETWEEN_TRIES = 1.0

# Imported by the fork server, so this is its pid in every process forked from it: the parent that they must still have.
_FORK_SERVER = os.getpid()

_logger = structlog.get_logger(__name__)


def compute(order: Order) -> None:
    """Make the attempt; unless it succeeded, end the job as failed, or give it back if the database was out of reach.

    A process that cannot even say so, because it was killed, is what the supervisor counts as a death.
    """
    _guard()
    logs.configure(order.settings.log_level)
    claim = order.claim
    structlog.contextvars.bind_contextvars(job=str(claim.job_id), kind=claim.kind, attempt=claim.fence)
    database = Database(order.settings.resolved_database_url)
    try:
        _make(Attempt(claim, order.settings, database), order.handler)
    finally:
        database.dispose()


def _guard() -> None:
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None
    # The order matters little, the place does: before any work. The fork server is the parent, the supervisor alone
    # holds the other end of the sentinel.
    end_with_parent(_FORK_SERVER)
    end_with_writer(supervisor.sentinel)
    os.setsid()


def _make(attempt: Attempt, handler: Handler) -> None:
    try:
        _run(attempt, handler)
    except LostClaim as lost:
        _logger.warning("claim_lost", detail=str(lost))
    except DatabaseUnavailable as error:
        _give_back(attempt, handler, error)
    except ForgetteryError as error:
        _fail(attempt, handler, error)
    except Exception:
        _logger.exception("attempt_failed")
        _fail(attempt, handler, InternalError("an unexpected error ended the job; the server's log has the details"))


def _run(attempt: Attempt, handler: Handler) -> None:
    for module in handler.preload:  # already there, unless the fork server could not import it: then this says why
        importlib.import_module(module)
    _prepare_torch(_threads(attempt))
    os.nice(_NICENESS)
    handler.run(attempt)
    with attempt.database.reading() as session:
        if queue.standing(session, attempt.claim) != "lost":
            raise RuntimeError(f"the handler of {attempt.kind!r} returned without succeeding")


def _threads(attempt: Attempt) -> int:
    """The threads that are set, else those that suit the network; a worker makes ATTEMPTS_AT_ONCE attempts at once."""
    if attempt.settings.torch_threads:
        return attempt.settings.torch_threads
    with attempt.database.reading() as session:
        model = session.get_one(ModelRow, attempt.model_id)
    return job_threads(model.architecture, jobs_at_once=ATTEMPTS_AT_ONCE)


def _prepare_torch(threads: int) -> None:
    """Make torch give the same bits for the same seed and thread count; an operation that cannot promise it raises."""
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(mode=True)


def _give_back(attempt: Attempt, handler: Handler, error: DatabaseUnavailable) -> None:
    if _written(attempt, lambda session: queue.release(session, attempt.claim, {attempt.kind: handler.ended})):
        _logger.warning("job_given_back", detail=error.detail)


def _fail(attempt: Attempt, handler: Handler, error: ForgetteryError) -> None:
    if _written(attempt, lambda session: queue.fail(session, attempt.claim, error, {attempt.kind: handler.ended})):
        _logger.info("job_failed", problem=error.slug, detail=error.detail)


def _written(attempt: Attempt, end: Callable[[Session], object]) -> bool:
    """Write how the attempt ended as soon as the database takes it; False if the job is no longer this attempt's.

    Waiting has no limit of its own: the supervisor renews the lease, and ends this process when it is told to stop.
    """
    while True:
        try:
            with attempt.database.writing() as session:
                end(session)
        except LostClaim as lost:
            _logger.warning("claim_lost", detail=str(lost))
            return False
        except (DatabaseUnavailable, StorageUnavailable) as error:
            _logger.warning("end_not_written", detail=error.detail)
            time.sleep(_SECONDS_BETWEEN_TRIES)
        else:
            return True
