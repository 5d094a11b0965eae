"""How long work took: by the clock on the wall, and in seconds of the processor.

Wall seconds are what somebody waits, and grow with whatever else the machine does. Seconds of the processor, summed over
all threads of this process, are the work itself: of two models made at different moments, only these can be compared,
and only where as many threads computed. On an accelerator they are those of the host alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Spent:
    """What some work took."""

    wall: float
    cpu: float


class Stopwatch:
    """Runs from the moment at which it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def spent(self) -> Spent:
        """The seconds since then."""
        return Spent(time.perf_counter() - self._wall, time.process_time() - self._cpu)
