from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from itertools import pairwise

import pytest
import structlog
from structlog.testing import capture_logs

from app.processes import keeping
from app.processes.keeping import keep_running


def test_the_first_restart_is_at_once_and_the_next_ones_wait_ever_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    # A logger that was used before keeps the settings of that time, and is not captured.
    monkeypatch.setattr(keeping, "_log", structlog.stdlib.get_logger())
    starts: list[float] = []

    async def end_at_once() -> int:
        starts.append(time.monotonic())
        if len(starts) == 4:
            raise asyncio.CancelledError
        return 3

    with capture_logs() as logs, suppress(asyncio.CancelledError):
        asyncio.run(keep_running("program", end_at_once))
    assert [(log["event"], log["status"], log["next_starts_after"]) for log in logs] == [
        ("the program ended", 3, delay) for delay in (0.0, 0.5, 1.0)
    ]
    waits = [later - earlier for earlier, later in pairwise(starts)]
    assert all(wait >= delay for wait, delay in zip(waits, (0.0, 0.5, 1.0), strict=True))
