"""What is to be computed next: per version in the order of arrival, the versions taking turns."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from app.prediction.protocol import LARGEST_FORWARD, VersionKey

if TYPE_CHECKING:
    from app.unlearning.refusing.guard import Guarded


@dataclass(frozen=True)
class Question:
    """Rows float32 [N, C, H, W] that one answer is owed for."""

    id: int
    version: VersionKey
    inputs: npt.NDArray[np.float32]
    task: int | None = None


class Batches:
    """Questions waiting to be computed; true while there are any.

    Holds each waiting version itself, so that it can still answer when the cache has dropped it.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[VersionKey, tuple[Guarded, deque[Question]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, question: Question, version: Guarded) -> None:
        """Add a question to those of its version."""
        if question.version not in self._waiting:
            self._waiting[question.version] = (version, deque())
        self._waiting[question.version][1].append(question)

    def take(self) -> tuple[Guarded, list[Question]]:
        """The next version and as many of its oldest questions as one forward pass holds, at least one."""
        key, (version, questions) = self._waiting.popitem(last=False)
        batch = [questions.popleft()]
        rows = len(batch[0].inputs)
        while questions and rows + len(questions[0].inputs) <= LARGEST_FORWARD:
            batch.append(questions.popleft())
            rows += len(batch[-1].inputs)
        if questions:
            self._waiting[key] = (version, questions)  # at the end: the other versions come first
        return version, batch
