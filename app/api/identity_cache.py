"""A short memory of who presents which key, so that a prediction need not wait for the database."""

from __future__ import annotations

import threading
import time

from app.operations.api_keys import Identity


class IdentityCache:
    """Who presented a key within the last second; at most 1024 keys, and only those that were accepted.

    `clear` also voids what is being looked up meanwhile: that may have been read before a commit.
    """

    SECONDS = 1.0
    _MOST = 1024

    def __init__(self) -> None:
        self.generation = 0
        self._lock = threading.Lock()
        self._known: dict[str | None, tuple[float, Identity]] = {}

    def get(self, presented: str | None) -> Identity | None:
        """The owner of this key, if it was looked up within the last second."""
        known = self._known.get(presented)
        return known[1] if known and time.monotonic() - known[0] < self.SECONDS else None

    def put(self, presented: str | None, identity: Identity, generation: int) -> None:
        """Keep what was looked up, unless `clear` was called since `generation` was read."""
        with self._lock:
            if generation != self.generation:
                return
            if len(self._known) >= self._MOST:
                self._known.clear()
            self._known[presented] = (time.monotonic(), identity)

    def clear(self) -> None:
        """Forget everything: the keys have changed."""
        with self._lock:
            self.generation += 1
            self._known.clear()
