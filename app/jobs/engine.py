"""Where an attempt computes: a small port, so that the job table alone knows what is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from app.jobs.handler import Handler
from app.jobs.queue import Claim
from app.settings import Settings

Sight = Literal["waiting", "running", "ended", "unknown"]
"""`unknown`: the engine itself lost the attempt, so that its end says nothing about the job."""


ATTEMPTS_AT_ONCE = 2
"""Attempts that one worker runs at once; they share its cores."""


@dataclass(frozen=True)
class Order:
    """All that an attempt needs to compute in another process; picklable."""

    claim: Claim
    handler: Handler
    settings: Settings


class Engine(Protocol):
    """Starts, watches and stops attempts; used from one thread."""

    def warm(self) -> None:
        """Get ready for a quick start; called often, returns at once."""

    def start(self, handle: str, order: Order) -> None:
        """Start the attempt of this name; a name that was started is not started again."""

    def look(self, handle: str) -> Sight:
        """How the attempt of this name is doing."""

    def stop(self, handle: str, grace_seconds: float) -> None:
        """End the attempt, by force after the grace, and forget its name; returns when it is gone."""
