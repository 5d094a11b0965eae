"""Data sets, architectures and methods, from which requests choose."""

from __future__ import annotations

from typing import Any

from pydantic import (
    Field,
)

from app.contract.fields import Answered
from app.specs.claims import Claim
from app.specs.learning import Mode
from app.specs.refusing import Refusal
from app.specs.target import TargetKind


class Dataset(Answered):
    """A data set that models can be trained on."""

    name: str
    description: str
    input_shape: list[int] = Field(description="Channels, height, width.")
    classes: list[str] = Field(description="Class names by index.")
    num_train: int = Field(description="Rows of the training file; sample ids are 0 to this - 1.")
    num_test: int
    available: bool = Field(description="Whether its files are on this machine.")


class ArchitectureInfo(Answered):
    """A network architecture and its parameters."""

    name: str
    description: str
    parameters: dict[str, Any] = Field(description="JSON Schema of the parameters.")


class MethodInfo(Answered):
    """An unlearning method: what it claims, for which targets, and when not to use it."""

    name: str
    description: str
    claim: Claim
    targets: list[TargetKind]
    modes: list[Mode] = Field(description="Learning modes of the models it applies to.")
    refusals: dict[Refusal, Claim] = Field(
        description="The refusals it goes with, of classes and tasks, and the most that can be claimed with each."
    )
    idea: str
    equation: str
    guarantee: str
    reference_paper: str
    when_not: str
    parameters: dict[str, Any] = Field(description="JSON Schema of the parameters.")
