"""The API's side of the predictor: keeps the process running and asks it. Imports no torch."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from app.errors import InternalError, PredictorUnavailable, errors_by_slug
from app.prediction.protocol import Answer, Ask, FrameReader, Header, Ready, Refusal, VersionKey, encode
from app.processes.keeping import keep_running

READY_SECONDS = 30.0
"""Seconds that a request waits for a process that is starting."""
START_SECONDS = 120.0
"""Seconds after which a process that is not ready is replaced."""
SILENCE_SECONDS = 60.0
"""Seconds after which a process that owes answers and says nothing is replaced."""
STOP_SECONDS = 3.0
_SECRETS = {"FORGETTERY_ADMIN_KEY", "FORGETTERY_KEY", "FORGETTERY_DATABASE_URL"}
_CHUNK_ROWS = 16
"""A large request has one such chunk in flight at a time, so that small requests wait for one chunk and no more.

Trial, 10,000 images and the small cnn: 1.5 s, and one row asked meanwhile 1.9 ms. Two chunks of 32 in flight: 1.7 s
and 10 ms; four: 1.4 s and 17 ms. For the mlp 0.6 s and 0.4 ms, 0.3 s and 1.2 ms, 0.3 s and 2.3 ms.
"""

_ERRORS = errors_by_slug()
_log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]


class Predictor:
    """Answers with the models of a store, through a process that is restarted when it dies.

    For one event loop. `start()` returns at once; requests wait until the process is ready.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._connection: _Connection | None = None
        self._ready = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs and answers."""
        return self._ready.is_set()

    @property
    def process_id(self) -> int | None:
        """The id of the process that answers; None while there is none."""
        return self._connection.process.pid if self._connection and self.alive else None

    async def start(self) -> None:
        """Start the process and keep it running until `stop()`."""
        self._supervisor = asyncio.create_task(keep_running("predictor", self._live_once), name="predictor")

    async def stop(self) -> None:
        """End the process; what is still in flight fails with `PredictorUnavailable`."""
        if self._supervisor is None:
            return
        supervisor, self._supervisor = self._supervisor, None
        supervisor.cancel()
        await asyncio.wait([supervisor])

    async def predict(self, version: VersionKey, inputs: Floats, task: int | None = None) -> Floats:
        """Served probabilities float32 [N, classes + 1] of float32 [N, C, H, W] in 0..1; the last column: forgotten.

        `task`: whose classes compete, one that the version has; None for all. The last bits of a row may depend on the rows it is computed with. Raises `PredictorUnavailable`,
        `VersionCorrupted` when the stored files do not match the digests, `InternalError`.
        """
        connection = await self._wait_for_process()
        answers = [
            await connection.ask(version, inputs[start : start + _CHUNK_ROWS], task)
            for start in range(0, len(inputs), _CHUNK_ROWS)
        ]
        return answers[0] if len(answers) == 1 else np.concatenate(answers)

    async def _wait_for_process(self) -> _Connection:
        if self._supervisor is None:
            raise PredictorUnavailable("this server runs without a predictor, or is about to stop")
        if not self._ready.is_set():
            try:
                await asyncio.wait_for(self._ready.wait(), READY_SECONDS)
            except TimeoutError:
                raise PredictorUnavailable("the predictor process is not up yet; try again shortly") from None
        assert self._connection is not None
        return self._connection

    async def _live_once(self) -> int | None:
        """One life of the process; the status it ended with, None if the system could not start it for the moment."""
        try:
            connection = await _start_process(self._home, self._ready.clear)
            await self._serve(connection)
        except (OSError, RuntimeError):  # no memory, process, descriptor or thread is to be had now; later perhaps
            _log.exception("the predictor process could not be started or reaped")
            return None
        return connection.process.returncode

    async def _serve(self, connection: _Connection) -> None:
        """Let the process answer, from when it is ready until it is gone and reaped."""
        try:
            await asyncio.wait_for(connection.ready, START_SECONDS)
            self._connection = connection
            self._ready.set()
            await connection.silence_or_end()
        except (PredictorUnavailable, TimeoutError):
            _log.exception("the predictor process did not get ready")
        finally:
            self._ready.clear()
            await connection.end()


async def _start_process(home: Path, ended: Callable[[], None]) -> _Connection:
    """Start the process with one end of a socket pair, which has no name that anybody else could connect to."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = _spawn(home, theirs)
        except OSError:
            ours.close()
            raise
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_unix_connection(lambda: _Connection(process, ended), sock=ours)
    except BaseException:  # stopped in this very moment
        process.kill()
        process.wait()
        raise
    return connection


def _spawn(home: Path, connection: socket.socket) -> subprocess.Popen[bytes]:
    # Called on the event loop's thread on purpose: Linux signals the death of the *thread* that forked
    # (prctl(2), PR_SET_PDEATHSIG), so a thread of a pool that is retired would take the predictor with it.
    package_root = Path(__file__).parents[2]
    command = [sys.executable, "-P", "-m", "app.prediction.process"]
    arguments = [str(connection.fileno()), str(os.getpid()), str(home)]
    return subprocess.Popen(  # noqa: S603  our own interpreter and module
        command + arguments,
        stdin=subprocess.DEVNULL,
        pass_fds=[connection.fileno()],
        env={**_without_secrets(os.environ), "PYTHONPATH": str(package_root)},
    )


def _without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """What the process needs to run: it asks neither the server nor the database."""
    return {name: value for name, value in environment.items() if name.upper() not in _SECRETS}


class _Connection(asyncio.Protocol):
    """The line to one process: sends what is asked, hands answers to those who wait."""

    def __init__(self, process: subprocess.Popen[bytes], ended: Callable[[], None]) -> None:
        self.process = process
        self._tell_end = ended
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._frames = FrameReader()
        self._waiting: dict[int, asyncio.Future[Floats]] = {}
        self._last_id = 0
        self._last_heard = self._loop.time()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._tell_end()
        waiting: list[asyncio.Future[Any]] = [self.ready, *self._waiting.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(PredictorUnavailable("the predictor process has just ended; try again shortly"))
        self._waiting.clear()
        if not self._ended.done():
            self._ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._last_heard = self._loop.time()
        for header, payload in self._frames.feed(data):
            self._receive(header, payload)

    def ask(self, version: VersionKey, inputs: Floats, task: int | None) -> asyncio.Future[Floats]:
        """Send at most `protocol.LARGEST_FORWARD` rows; the future gets float32 [N, classes + 1]."""
        future: asyncio.Future[Floats] = self._loop.create_future()
        if self._transport is None or self._transport.is_closing():
            future.set_exception(PredictorUnavailable("the predictor process has just ended; try again shortly"))
            return future
        if not self._waiting:
            self._last_heard = self._loop.time()
        self._last_id += 1
        self._waiting[self._last_id] = future
        rows, channels, height, width = inputs.shape
        header = Ask(self._last_id, version, (rows, channels, height, width), task)
        self._transport.write(encode(header, inputs.tobytes()))
        return future

    def _receive(self, header: Header, payload: bytearray) -> None:
        if isinstance(header, Ready):
            if not self.ready.done():
                self.ready.set_result(None)
            return
        assert isinstance(header, Answer | Refusal)
        future = self._waiting.pop(header.id)
        if future.done():  # the request that asked has gone
            return
        if isinstance(header, Refusal):
            future.set_exception(_ERRORS.get(header.slug, InternalError)(header.detail))
        else:
            future.set_result(np.frombuffer(payload, np.float32).reshape(header.shape))

    async def silence_or_end(self) -> None:
        """Return when the process has ended, or owes answers and says nothing for too long."""
        while not self._ended.done():
            if self._waiting and self._loop.time() - self._last_heard > SILENCE_SECONDS:
                _log.error("the predictor process hangs and is replaced")
                self.process.kill()
            await asyncio.wait([self._ended], timeout=SILENCE_SECONDS / 10)

    async def end(self) -> None:
        """Cut the line, at whose end the process exits by itself, and reap it."""
        assert self._transport is not None
        self._transport.abort()  # close() would first wait for what is unsent, for ever if the process hangs
        await self._ended
        await asyncio.to_thread(self._reap)

    def _reap(self) -> None:
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
