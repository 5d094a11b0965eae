"""Predict: which version answers, what it is asked, what it says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.errors import FieldError, InvalidInput, TaskNotFound, VersionCorrupted
from app.operations.caller import Caller
from app.operations.models import versions
from app.prediction.answers import EncodedAnswers, Options, encode_answers
from app.prediction.client import Predictor
from app.prediction.inputs import IMAGE_TYPES, decode
from app.prediction.protocol import VersionKey
from app.prediction.serving import ServedVersion, ServedVersions

_SMALL_BODY = 1 << 16
_FEW_ROWS = 256
"""Rows up to which the work is done at once: it takes less than a millisecond, and a thread is not free either."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Body:
    """The body of a request; `options` come from the query, and a JSON body brings its own."""

    media_type: str
    content: bytes
    options: Options


async def predict(
    served: ServedVersions, predictor: Predictor, caller: Caller, *, name: str, number: int | None, body: Body
) -> EncodedAnswers:
    """Classify inputs with the version of this number, or with the serving one for None.

    Pointer and state of the version are read after the request arrived, and nothing is read later: the answer is as of
    that read. So a request that arrives after the commit of a switch is answered by the new version, and none that
    arrives after the commit of a quarantine by the quarantined one, whatever the predictor still holds in memory. One
    that came before, and is being computed at that moment, is finished.

    Raises what `ServedVersions.find` does, `TaskNotFound`, `InvalidInput`, `InvalidShape`, `InvalidValue`, `UnreadableInput`,
    `MissingScope`, `PredictorUnavailable`, and `VersionCorrupted`, which is logged once.
    """
    caller.require("predict")
    version = await served.find(name, number)
    inputs, options = await _decode(body, version.input_shape)
    question = _Question(inputs, options.task, by_number=number is not None)
    answering, probabilities = await _ask(served, predictor, caller, version, question)
    if len(inputs) <= _FEW_ROWS:
        return encode_answers(answering, probabilities, options)
    return await asyncio.to_thread(encode_answers, answering, probabilities, options)


async def _decode(body: Body, input_shape: tuple[int, int, int]) -> tuple[Floats, Options]:
    # A small image file may hold many pixels.
    if len(body.content) <= _SMALL_BODY and body.media_type not in IMAGE_TYPES:
        return decode(body.media_type, body.content, body.options, input_shape)
    return await asyncio.to_thread(decode, body.media_type, body.content, body.options, input_shape)


@dataclass(frozen=True)
class _Question:
    inputs: Floats
    task: int | None
    by_number: bool


async def _ask(
    served: ServedVersions, predictor: Predictor, caller: Caller, version: ServedVersion, question: _Question
) -> tuple[ServedVersion, Floats]:
    """The probabilities, and the version that gave them.

    Files that do not match their digests may just have been purged, after the version was read. The quarantine is
    committed before the first file goes, so a second look then finds another version or says that it is gone.
    """
    while True:
        _check_task(version, question.task)
        try:
            key = VersionKey(version.model, version.number, version.digest, version.manifest_digest, version.guarded)
            return version, await predictor.predict(key, question.inputs, question.task)
        except VersionCorrupted:
            now = await served.find(version.model, version.number if question.by_number else None)
            if now == version:
                await asyncio.to_thread(_report_corrupted, served, caller, version)
                raise
            version = now


def _check_task(version: ServedVersion, task: int | None) -> None:
    if task is None or task < len(version.tasks):
        return
    if not version.tasks:
        detail = f'the model "{version.model}" was not trained on tasks; leave "task" out'
        raise InvalidInput(detail, errors=[FieldError("/task", detail)])
    detail = f"the tasks of version {version.number} are 0 to {len(version.tasks) - 1}; {task} is none of them"
    raise TaskNotFound(detail, errors=[FieldError("/task", detail)])


def _report_corrupted(served: ServedVersions, caller: Caller, version: ServedVersion) -> None:
    versions.report_corrupted(served.database, version.model_id, version.number, by=caller.by)
