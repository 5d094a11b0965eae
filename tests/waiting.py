"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

HANGS_AFTER = 240.0
"""Seconds that a wait may take. It is no measure of speed: only what would never end takes so long, on any machine."""


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail if it does not within a time that only a fault exceeds."""
    give_up_at = time.monotonic() + HANGS_AFTER
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.02)
