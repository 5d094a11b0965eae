"""What a kind of job does: handed to the worker as a literal table, so that this room never imports the operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.jobs.attempt import Attempt
from app.jobs.queue import Ended


@dataclass(frozen=True)
class Handler:
    """One kind of job. Both functions live at module level, because the attempt's process finds them by name."""

    run: Callable[[Attempt], None]
    """Computes the job in a process of its own and ends in `attempt.succeeding(result)`; raises what ends it as failed."""
    ended: Ended
    """Called inside the transaction that ends a job as failed or cancelled; the row carries status and problem."""
    preload: tuple[str, ...] = ()
    """Modules (torch and what imports it) loaded once in the fork server. None may start a thread or run a tensor
    operation when imported: the fork server must have one thread to be forked safely."""


def endings(handlers: Mapping[str, Handler]) -> dict[str, Ended]:
    """The `ended` of every kind of job."""
    return {kind: handler.ended for kind, handler in handlers.items()}
