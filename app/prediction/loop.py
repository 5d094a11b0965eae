"""The predictor's loop: receive, compute, answer, in one thread. Imports torch.

While it computes, requests gather in the socket; what has gathered for one version is computed together. So nobody
waits for a batch to fill, and batches grow with the load.
"""

from __future__ import annotations

import selectors
import socket

import numpy as np
import structlog

from app.errors import ForgetteryError, InternalError
from app.prediction.batching import Batches, Question
from app.prediction.loaded import LoadedVersions, probabilities
from app.prediction.protocol import Answer, Ask, FrameReader, Ready, Refusal, VersionKey, encode
from app.unlearning.refusing.guard import Guarded

_READ_BYTES = 1 << 20
_IDLE_CHECK_SECONDS = 60.0

_logger = structlog.get_logger(__name__)


class Loop:
    """Receives, computes and answers until the other end of the connection closes."""

    def __init__(self, connection: socket.socket, versions: LoadedVersions) -> None:
        self._connection = connection
        self._versions = versions
        self._frames = FrameReader()
        self._batches = Batches()
        self._unloaded: dict[VersionKey, list[Question]] = {}
        self._open = True
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ, self._receive)
        self._selector.register(versions.wake, selectors.EVENT_READ, self._take_loaded)

    def run(self) -> None:
        """Say that we are ready, then serve."""
        self._connection.sendall(encode(Ready()))
        while self._open:
            for key, _ in self._selector.select(0 if self._batches else _IDLE_CHECK_SECONDS):
                key.data()
            self._versions.drop_idle()
            if self._batches:
                self._compute(*self._batches.take())

    def _receive(self) -> None:
        try:
            received = self._connection.recv(_READ_BYTES)
        except ConnectionResetError:
            received = b""
        self._open = bool(received)
        for header, payload in self._frames.feed(received):
            assert isinstance(header, Ask)
            inputs = np.frombuffer(payload, np.float32).reshape(header.shape)
            self._enqueue(Question(header.id, header.version, inputs, header.task))

    def _enqueue(self, question: Question) -> None:
        version = self._versions.get(question.version)
        if version is not None:
            self._batches.put(question, version)
            return
        self._unloaded.setdefault(question.version, []).append(question)
        self._versions.load(question.version)

    def _take_loaded(self) -> None:
        for key, version in self._versions.take_loaded():
            for question in self._unloaded.pop(key):
                if isinstance(version, ForgetteryError):
                    self._send([encode(Refusal(question.id, version.slug, version.detail))])
                else:
                    self._batches.put(question, version)

    def _compute(self, version: Guarded, questions: list[Question]) -> None:
        try:
            answers = probabilities(version, questions)
        except Exception:  # whatever a network raises on one input must not end the answers for others
            key = questions[0].version
            _logger.exception("answer_not_computed", model=key.model, version=key.number)
            error = InternalError("the model could not compute an answer; the server's log has the details")
            self._send([encode(Refusal(question.id, error.slug, error.detail)) for question in questions])
            return
        frames = []
        start = 0
        for question in questions:
            rows = answers[start : start + len(question.inputs)]
            start += len(rows)
            frames.append(encode(Answer(question.id, rows.shape), rows.tobytes()))
        self._send(frames)

    def _send(self, frames: list[bytes]) -> None:
        try:
            self._connection.sendall(b"".join(frames))
        except (BrokenPipeError, ConnectionResetError):
            self._open = False
