"""Predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
)

from app.contract.fields import Answered, Asked

OnForgotten = Literal["zero", "token", "probabilities", "next_best"]
ON_FORGOTTEN_MEANINGS: Mapping[OnForgotten, str] = {
    "zero": "A forgotten input gets the label 0.",
    "token": "A forgotten input gets the label `[forgotten]`.",
    "probabilities": "A forgotten input gets the label null, and every input its probabilities.",
    "next_best": "A forgotten input gets the retained class of greatest probability; null where no class competes.",
}
Invert = Literal["false", "true", "auto"]
INVERT_MEANINGS: Mapping[Invert, str] = {
    "false": "The image is taken as it is.",
    "true": "Light is taken for dark.",
    "auto": "The image is inverted where its edge is light.",
}
_BLANK: JsonValue = [0] * 28
_STROKE: JsonValue = [*[0] * 13, 1, 1, *[0] * 13]
_DRAWN_ONE: JsonValue = [*[_BLANK] * 4, *[_STROKE] * 20, *[_BLANK] * 4]
"""A one as MNIST has them, 28 x 28, light on dark."""


class PredictRequest(Asked):
    """Inputs to classify, as nested or flat lists of numbers in 0..1."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [{"inputs": [_DRAWN_ONE], "on_forgotten": "zero", "probabilities": False}],
        },
    )
    inputs: list[Any] = Field(min_length=1, max_length=10_000)
    task: int | None = Field(default=None, ge=0, lt=2**31, description="Let this task's classes compete alone.")
    on_forgotten: OnForgotten = "zero"
    probabilities: bool = False


class Prediction(Answered):
    """The answer for one input."""

    label: int | str | None = Field(description="Class index; 0, a token or null for a forgotten input.")
    forgotten: bool
    class_name: str | None
    confidence: float = Field(description="Probability of what was answered.")
    probabilities: list[float] | None = Field(
        default=None, description="Probabilities by class index; those of forgotten classes are exactly 0."
    )
    p_forgotten: float | None = Field(
        default=None, description="Probability of the null unit; with the list, together 1."
    )


class Predictions(Answered):
    """Answers in the order of the inputs, and the version that gave them."""

    model: str
    version: int
    digest: str
    predictions: list[Prediction]
