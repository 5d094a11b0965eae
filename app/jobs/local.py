"""The `local` engine: every attempt is a process of this machine, forked from a server that has torch loaded."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess

import structlog

from app.jobs import child
from app.jobs.engine import Order, Sight
from app.jobs.processes import is_dead, name_of, parent_of

_logger = structlog.get_logger(__name__)

_FORK_SERVER_DIED = 255
"""Exit code that multiprocessing gives when it can no longer know; an attempt could also exit with it."""

_SECONDS_FOR_KILL = 10.0


@dataclass(frozen=True)
class _Started:
    process: ForkServerProcess
    pid: int
    name: str | None
    fork_server: str | None
    """The name of the fork server, from `app.jobs.processes` like `name`; None if it was gone before it could be
    named."""

    def is_dead(self) -> bool:
        """Whether the attempt's process is gone; its exit code does not tell when the fork server died."""
        return self.name is None or is_dead(self.name)

    def lost_fork_server(self) -> bool:
        """Whether the fork server that forked the attempt is gone."""
        return self.fork_server is None or is_dead(self.fork_server)


class LocalEngine:
    """Attempts as processes forked from one fork server, which `preload`s modules once.

    If the fork server dies its attempts die with it and look `unknown`; a new one is started by the next `warm`.
    """

    def __init__(self, preload: Iterable[str]) -> None:
        # numpy's OpenBLAS starts its threads when imported, and a process is forked safely only while it has one thread.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([child.__name__, *preload])
        self._started: dict[str, _Started] = {}

    def warm(self) -> None:
        """Start the fork server if none lives; it loads its modules in the background."""
        forkserver.ensure_running()

    def start(self, handle: str, order: Order) -> None:
        """Fork the attempt; waits for the fork server's modules, raises OSError or EOFError if it dies meanwhile."""
        if handle in self._started:
            return
        process = self._context.Process(target=child.compute, args=(order,), name=handle, daemon=True)
        process.start()
        self._started[handle] = _named(process)

    def look(self, handle: str) -> Sight:
        """`ended` when the process exited or died, `unknown` when its fork server took it along."""
        started = self._started.get(handle)
        if started is None:
            return "unknown"
        code = started.process.exitcode
        if code is None:
            return "running"
        if code != 0:
            _logger.warning("attempt_exited", attempt=handle, exit_code=code)
        return "unknown" if code == _FORK_SERVER_DIED and started.lost_fork_server() else "ended"

    def stop(self, handle: str, grace_seconds: float) -> None:
        """End the attempt's process group with TERM, after the grace with KILL, and forget the attempt."""
        started = self._started.pop(handle, None)
        if started is None:
            return
        if not started.is_dead():
            _signal_group(started, signal.SIGTERM)
            _wait(started, grace_seconds)
            _signal_group(started, signal.SIGKILL)
            _wait(started, _SECONDS_FOR_KILL)
        started.process.join(_SECONDS_FOR_KILL)
        started.process.close()


def _named(process: ForkServerProcess) -> _Started:
    pid = process.pid
    assert pid is not None
    name = fork_server = None
    with suppress(ProcessLookupError):
        name = name_of(pid)
        fork_server = name_of(parent_of(pid))
    return _Started(process, pid, name, fork_server)


def _signal_group(started: _Started, number: signal.Signals) -> None:
    """Signal the attempt's process group, or the process alone if it has not made its group yet."""
    try:
        os.killpg(started.pid, number)
    except ProcessLookupError:
        if not started.is_dead():
            os.kill(started.pid, number)


def _wait(started: _Started, seconds: float) -> None:
    give_up_at = time.monotonic() + seconds
    while not started.is_dead() and time.monotonic() < give_up_at:
        time.sleep(0.005)
