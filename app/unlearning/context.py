"""What a long computation gets from its caller: how to report progress, whether to go on, and on which device."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

_SECONDS_BETWEEN_REPORTS = 0.1


class Cancelled(Exception):
    """The computation was asked to stop."""


def _report_nothing(fraction: float, stage: str, message: str) -> None:
    pass


def _go_on() -> None:
    pass


@dataclass(frozen=True)
class Context:
    """Progress, cancellation and device of one computation; its seed belongs to what is computed, not to this."""

    progress: Callable[[float, str, str], None] = _report_nothing
    """Called with the fraction done (0..1), the stage and a message."""
    check: Callable[[], None] = _go_on
    """Called often; raises `Cancelled` (or whatever else shall end the computation)."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def report(self, fraction: float, stage: str, message: str) -> None:
        """Tell how far the computation is, after checking that it shall go on."""
        self.check()
        self.progress(fraction, stage, message)

    def part(self, start: float, end: float) -> Context:
        """The context of a part of the computation: its fractions 0..1 are start..end of the whole."""

        def scaled(fraction: float, stage: str, message: str) -> None:
            self.progress(start + (end - start) * fraction, stage, message)

        return replace(self, progress=scaled)


class Throttle:
    """Answers at most ten times a second that it is time to report, so that reporting costs nothing."""

    def __init__(self) -> None:
        self._due = 0.0

    def due(self) -> bool:
        """Whether it is time to report; the first call says yes."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + _SECONDS_BETWEEN_REPORTS
        return True
