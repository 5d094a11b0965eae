"""A process that is started again whenever it ends, for as long as the one that it works for runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

_BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
_STEADY_SECONDS = 60.0
"""Seconds after which a start counts as good; when such a process ends, the next one starts at once."""
_log = structlog.stdlib.get_logger(__name__)


async def keep_running(name: str, live_once: Callable[[], Awaitable[int | None]]) -> NoReturn:
    """Await one life of the process after the other; what ends soon after its start is started ever more patiently.

    `live_once` returns the exit status of the process, None if it could not be started. When this is cancelled, it is
    cancelled, and ends the process before the cancellation goes on.
    """
    failures = 0
    clock = asyncio.get_running_loop().time
    while True:
        started = clock()
        status = await live_once()
        lived = clock() - started
        failures = 0 if lived > _STEADY_SECONDS else min(failures + 1, len(_BACKOFF_SECONDS))
        delay = _BACKOFF_SECONDS[max(failures - 1, 0)]
        _log.warning(f"the {name} ended", status=status, lived=round(lived, 1), next_starts_after=delay)
        await asyncio.sleep(delay)
