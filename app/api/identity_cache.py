"""A short memory of who presents which key, so that a prediction need not wait for the database."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool

from app.operations.administration.api_keys import Identity


class IdentityCache:
    """Remembers for a second who presented a key; at most 1024 keys, and only keys that were accepted.

    `clear` also voids look-ups that are under way: they may have read before a commit. Requests that wait for the same
    key share one look into the database.
    """

    SECONDS = 1.0
    _MOST = 1024

    def __init__(self) -> None:
        self._generation = 0
        self._lock = threading.Lock()
        self._known: dict[str | None, tuple[float, Identity]] = {}
        self._looking: dict[tuple[int, str | None], asyncio.Task[Identity]] = {}

    async def find(self, presented: str | None, look_up: Callable[[str | None], Identity]) -> Identity:
        """The owner of this key, from memory or by `look_up` in a thread; raises what that raises.

        For one event loop.
        """
        known = self._known.get(presented)
        if known and time.monotonic() - known[0] < self.SECONDS:
            return known[1]
        key = self._generation, presented
        if key not in self._looking:
            self._looking[key] = asyncio.create_task(self._look_up(key, look_up))
            self._looking[key].add_done_callback(lambda _: self._looking.pop(key))
        return await asyncio.shield(self._looking[key])  # the first request to ask may leave before the others

    async def _look_up(self, key: tuple[int, str | None], look_up: Callable[[str | None], Identity]) -> Identity:
        generation, presented = key
        identity = await run_in_threadpool(look_up, presented)
        self._keep(presented, identity, generation)
        return identity

    def _keep(self, presented: str | None, identity: Identity, generation: int) -> None:
        with self._lock:
            if generation != self._generation:
                return
            if len(self._known) >= self._MOST:
                self._known.clear()
            self._known[presented] = (time.monotonic(), identity)

    def clear(self) -> None:
        """Forget everything, because the keys have changed."""
        with self._lock:
            self._generation += 1
            self._known.clear()
