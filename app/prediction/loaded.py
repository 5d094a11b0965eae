"""Versions in memory, and what they answer. Imports torch."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog
import torch

from app.errors import ForgetteryError, InternalError
from app.prediction.batching import Question
from app.prediction.protocol import VersionKey
from app.store import guards, weights
from app.store.versions import VersionStore
from app.unlearning.refusing.guard import Guarded

MAXIMUM_VERSIONS = 32
MAXIMUM_BYTES = 1 << 30
IDLE_SECONDS = 600.0
"""Seconds after which a version that nobody asked for is dropped, so that no purged version stays in memory for
good."""

_logger = structlog.get_logger(__name__)


def one_thread() -> None:
    """Let torch compute in the calling thread alone.

    Batches of 32 small images gain nothing from a second thread (trial: 10.7 against 11.6 ms for 64), and the cores
    belong to the API and to running jobs.
    """
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)


def probabilities(version: Guarded, questions: Sequence[Question]) -> npt.NDArray[np.float32]:
    """Served probabilities float32 [N, classes + 1] of all rows of these questions; raises ArithmeticError on NaN.

    One forward pass, whatever tasks they name.
    """
    inputs = np.concatenate([question.inputs for question in questions])
    rows_of_task = [
        (task, sum(len(question.inputs) for question in asked)) for task, asked in groupby(questions, _task)
    ]
    with torch.inference_mode():
        images = torch.from_numpy(inputs)
        margins, counts = version.margins(images), [rows for _, rows in rows_of_task]
        parts = torch.split(version.classifier(images), counts)
        margins_of_parts = [None] * len(counts) if margins is None else torch.split(margins, counts)
        served = [
            version.serve(part, its_margins, task)
            for part, its_margins, (task, _) in zip(parts, margins_of_parts, rows_of_task, strict=True)
        ]
        answers: npt.NDArray[np.float32] = torch.cat(served).softmax(dim=1).numpy()
    if not np.isfinite(answers).all():
        raise ArithmeticError("the probabilities are not finite numbers")
    return answers


def _task(question: Question) -> int | None:
    return question.task


class LoadedVersions:
    """The versions used last, within bounds of count, bytes and idle time.

    Loading happens in a thread of its own, one version after the other, so that the others go on answering. `wake`
    turns readable when `take_loaded()` has something.
    """

    def __init__(
        self,
        home: Path,
        *,
        versions: int = MAXIMUM_VERSIONS,
        size: int = MAXIMUM_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = VersionStore(home)
        self._limits = (versions, size)
        self._clock = clock
        self._cached: OrderedDict[VersionKey, tuple[Guarded, float]] = OrderedDict()  # with the time of the last use
        self._loading: set[VersionKey] = set()
        self._requested: queue.SimpleQueue[VersionKey] = queue.SimpleQueue()
        self._loaded: queue.SimpleQueue[tuple[VersionKey, Guarded | ForgetteryError]] = queue.SimpleQueue()
        self.wake, self._waker = socket.socketpair()
        threading.Thread(target=self._load_all, name="load", daemon=True).start()

    def get(self, key: VersionKey) -> Guarded | None:
        """This version, if it is in memory. One that is asked for without its guard has lost it: that copy goes."""
        if not key.guarded:
            self._cached.pop(key._replace(guarded=True), None)
        if key not in self._cached:
            return None
        version, _ = self._cached.pop(key)
        self._cached[key] = (version, self._clock())  # at the end: in the order of use
        return version

    def load(self, key: VersionKey) -> None:
        """Begin to load a version, unless that has begun before; its files must match the digests."""
        if key not in self._loading:
            self._loading.add(key)
            self._requested.put(key)

    def take_loaded(self) -> Iterator[tuple[VersionKey, Guarded | ForgetteryError]]:
        """What has been loaded since the last call, or why it could not be."""
        for _ in self.wake.recv(4096):
            key, version = self._loaded.get()
            self._loading.remove(key)
            if isinstance(version, Guarded):
                self._keep(key, version)
            yield key, version

    def drop_idle(self) -> None:
        """Drop the versions that nobody has asked for in `IDLE_SECONDS`."""
        newest = self._clock() - IDLE_SECONDS
        while self._cached and next(iter(self._cached.values()))[1] <= newest:
            self._cached.popitem(last=False)

    def _keep(self, key: VersionKey, version: Guarded) -> None:
        self._cached[key] = (version, self._clock())
        versions, size = self._limits
        while len(self._cached) > 1 and (len(self._cached) > versions or self._bytes() > size):
            self._cached.popitem(last=False)

    def _bytes(self) -> int:
        return sum(
            tensor.numel() * tensor.element_size()
            for version, _ in self._cached.values()
            for network in (version.classifier, version.guard)
            if network is not None
            for tensor in network.state_dict().values()
        )

    def _load_all(self) -> None:
        while True:
            key = self._requested.get()
            self._loaded.put((key, self._load(key)))
            self._waker.send(b"\0")

    def _load(self, key: VersionKey) -> Guarded | ForgetteryError:
        model, number, digest, manifest_digest, guarded = key
        folder = self._store.folder(model, number)
        try:
            version = weights.load(folder, digest, manifest_digest)
            guard = guards.load_guard(folder, manifest_digest) if guarded else None
        except ForgetteryError as error:
            return error
        except Exception:  # the thread must go on loading other versions
            _logger.exception("version_not_loaded", model=model, version=number)
            return InternalError(f"version {number} of {model} could not be loaded; the server's log has the details")
        return Guarded(version.eval().requires_grad_(requires_grad=False), guard)
