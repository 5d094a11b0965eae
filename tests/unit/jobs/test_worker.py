from __future__ import annotations

import threading

from app.errors import DatabaseUnavailable
from app.jobs import worker


def test_what_a_worker_does_again_and_again_outlives_every_error() -> None:
    stopping = threading.Event()
    outcomes = iter([DatabaseUnavailable(), ArithmeticError(), None])

    def act() -> None:
        outcome = next(outcomes, None)
        if outcome is None:
            stopping.set()
        else:
            raise outcome

    thread = worker._every(0.01, act, stopping)
    thread.join()
    assert stopping.is_set()
