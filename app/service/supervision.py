"""The worker of a server: a child process that is kept running as long as the server runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import structlog

from app.processes.keeping import keep_running
from app.settings import Settings

_STOP_SECONDS = 15.0
_log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def supervised_worker(settings: Settings) -> AsyncIterator[None]:
    """Keep a worker process with these settings running until the block ends; then SIGTERM, and SIGKILL if need be.

    To be used on the main thread: the kernel ends the worker when the thread that started it ends.
    """
    command = [sys.executable, "-P", "-m", "app.service.worker_process", str(os.getpid())]
    live_once = partial(_live_once, command, worker_environment(settings))
    supervisor = asyncio.create_task(keep_running("worker", live_once), name="worker")
    try:
        yield
    finally:
        supervisor.cancel()
        with suppress(asyncio.CancelledError):
            await supervisor


def worker_environment(settings: Settings) -> dict[str, str]:
    """The environment in which a process finds these very settings, less the admin key, which no worker needs."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("FORGETTERY_")}
    chosen = settings.model_dump(mode="json", exclude={"admin_key"}, exclude_none=True)
    return {
        **inherited,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        **{f"FORGETTERY_{name.upper()}": str(value) for name, value in chosen.items()},
    }


async def _live_once(command: list[str], environment: dict[str, str]) -> int | None:
    """One life of the process; if this is cancelled, the process is stopped before the cancellation goes on.

    None if the system could not start it: no memory, or no more processes, for the moment.
    """
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, env=environment)
    except OSError as fault:
        _log.error("the worker could not be started", reason=str(fault))
        return None
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        _log.warning("the worker did not stop in time and is killed", seconds=_STOP_SECONDS)
        process.kill()
        await process.wait()
