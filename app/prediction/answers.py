"""From probabilities to the answers on the wire, column by column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from app.contract.fields import FORGOTTEN_TOKEN
from app.contract.predicting import Invert, OnForgotten
from app.prediction.serving import ServedVersion

Floats = npt.NDArray[np.float32]
Labels = list[int | str | None]


@dataclass(frozen=True)
class Options:
    """How inputs are read, how forgotten ones are answered, and whether probabilities are listed."""

    task: int | None = None
    on_forgotten: OnForgotten = "zero"
    probabilities: bool = False
    invert: Invert = "false"
    """Whether an image is inverted before it is classified."""


class PredictionJson(msgspec.Struct, omit_defaults=True):
    """A `Prediction` as JSON, since that class is too slow to make by the ten thousand (a test compares the fields)."""

    label: int | str | None
    forgotten: bool
    class_name: str | None
    confidence: float
    probabilities: list[float] | None = None
    p_forgotten: float | None = None


class PredictionsJson(msgspec.Struct):
    """`Predictions` as JSON."""

    model: str
    version: int
    digest: str
    predictions: list[PredictionJson]


@dataclass(frozen=True)
class EncodedAnswers:
    """An answer as it goes over the wire, and its counts for the metrics."""

    content: bytes
    """The JSON of `Predictions`."""
    forgotten: int
    known: int


def encode_answers(version: ServedVersion, probabilities: Floats, options: Options) -> EncodedAnswers:
    """The answers for served probabilities [N, classes + 1], the null unit in the last column.

    The null unit answers only where it is strictly likelier than every retained class: where both are equal, the first
    column wins, here as in `app.unlearning.judging.measurements`, so that what is served is what was measured.
    """
    forgotten = probabilities.argmax(axis=1) == len(version.class_names)
    rows = list(_rows(version, probabilities, forgotten, options))
    content = msgspec.json.encode(PredictionsJson(version.model, version.number, version.digest, rows))
    return EncodedAnswers(content, forgotten=int(forgotten.sum()), known=int((~forgotten).sum()))


def _rows(
    version: ServedVersion, probabilities: Floats, forgotten: npt.NDArray[np.bool_], options: Options
) -> Iterable[PredictionJson]:
    num_classes = len(version.class_names)
    out = version.not_competing(options.task)
    likeliest = likeliest_retained(probabilities, out)
    # Of a wholly forgotten task no class competes: nothing is the next best.
    always_named = options.on_forgotten == "next_best" and len(out) < num_classes
    named = np.ones_like(forgotten) if always_named else ~forgotten
    answered = np.where(named, likeliest, num_classes)
    confidence = np.take_along_axis(probabilities, answered[:, None], axis=1)[:, 0]
    labels: Labels = [*range(num_classes), _label_of_forgotten(options.on_forgotten)]
    names: list[str | None] = [*version.class_names, None]
    columns: tuple[list[Any], ...] = (
        [labels[column] for column in answered.tolist()],
        forgotten.tolist(),
        [names[column] for column in answered.tolist()],
        confidence.tolist(),
    )
    if options.probabilities or options.on_forgotten == "probabilities":
        columns += (probabilities[:, :num_classes].tolist(), probabilities[:, num_classes].tolist())
    return map(PredictionJson, *columns)


def likeliest_retained(probabilities: Floats, not_competing: list[int]) -> npt.NDArray[np.int64]:
    """The likeliest competing class of each row, int64 [N]: the first of equals, never one of `not_competing`.

    Where the null unit has all the probability, competing classes are 0 as the others are; the mask tells them apart.
    """
    competing = probabilities[:, :-1].copy()
    competing[:, not_competing] = -1.0
    likeliest: npt.NDArray[np.int64] = competing.argmax(axis=1)
    return likeliest


def _label_of_forgotten(on_forgotten: OnForgotten) -> int | str | None:
    """What stands for a forgotten input; `next_best` asks for it only where nothing competes."""
    labels: dict[OnForgotten, int | str | None] = {"zero": 0, "token": FORGOTTEN_TOKEN}
    return labels.get(on_forgotten)
