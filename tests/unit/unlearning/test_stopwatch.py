from __future__ import annotations

import time

from app.unlearning.stopwatch import Stopwatch


def test_waiting_takes_wall_seconds_and_next_to_no_cpu_seconds() -> None:
    stopwatch = Stopwatch()
    time.sleep(0.5)
    spent = stopwatch.spent()
    assert spent.wall >= 0.5
    assert spent.cpu < spent.wall


def test_work_takes_both() -> None:
    stopwatch, began = Stopwatch(), time.process_time()
    while time.process_time() == began:
        pass
    assert stopwatch.spent().cpu > 0
    assert stopwatch.spent().wall > 0
