"""How long work took: by the clock on the wall, and in seconds of the processor.

Wall seconds are what somebody waits, and grow with whatever else the machine does. Seconds of the processor, summed
over all threads of this process, are the work itself: only these can be compared for two models made at different
moments, and only if the same number of threads computed. With an accelerator they count the host alone.
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
