"""Versions of a model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import (
    ConfigDict,
    Field,
)

from app.contract.fields import Answered, Asked
from app.contract.models import Forgotten
from app.specs.claims import Claim
from app.specs.reports import Memorisation, TaskMeasurements

VersionState = Literal["available", "quarantined", "purged"]
VERSION_STATE_MEANINGS: Mapping[VersionState, str] = {
    "available": "The version can answer, serve, and be downloaded.",
    "quarantined": "The version remembers what was forgotten since: nobody can reach it, its files wait to be destroyed.",
    "purged": "The version's files are destroyed; its record stays.",
}
Origin = Literal["trained", "unlearned", "imported"]
ORIGIN_MEANINGS: Mapping[Origin, str] = {
    "trained": "A training made the version.",
    "unlearned": "A forget request made the version.",
    "imported": "The version came from outside; no route of this server makes one.",
}


class VersionMetrics(Answered):
    """What was measured on the test set when the version was made; rows of the matrix are true classes."""

    test_accuracy: float = Field(description="Share of retained-class test inputs answered right, as served.")
    per_class_accuracy: list[float | None] = Field(
        description="Accuracy by class index; null where the test set has no input of the class."
    )
    confusion_matrix: list[list[int]] = Field(
        description="Row: true class. Column: answered class; the last column counts inputs answered as forgotten."
    )
    sparsity: float = Field(description="Share of parameters that are exactly zero, biases included.")
    num_parameters: int
    training_seconds: float = Field(description="Wall seconds of the training, or of the forgetting, alone.")
    training_cpu_seconds: float | None = Field(
        default=None,
        exclude_if=lambda value: value is None,  # the digest of an older manifest is that of what it had
        description="CPU seconds of that, summed over threads; left out of versions of earlier releases.",
    )
    tasks: list[TaskMeasurements] = Field(
        default_factory=list, description="Figures by task; empty for models that learn no tasks."
    )
    accuracy_matrix: list[list[float | None]] | None = Field(
        default=None,
        description="A row for each time that a task was learned, in order: the accuracy on each task with the task "
        "named; null where it was not learned yet or is forgotten. Of a version that forgot: as its parent was measured.",
    )
    average_forgetting: float | None = Field(
        default=None,
        description="Mean fall of earlier tasks from their best accuracy to the last (Chaudhry et al. 2018).",
    )
    backward_transfer: float | None = Field(
        default=None,
        description="Mean change of earlier tasks since each was learned (Lopez-Paz and Ranzato 2017).",
    )
    memorisation: Memorisation | None = Field(
        default=None,
        exclude_if=lambda value: value is None,  # the digest of an older manifest is that of what it had
        description="As the last training measured it, without regard to what was forgotten since. Left out: not measured.",
    )
    warning: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="That the last training learned nothing, where that is so.",
    )


class VersionGuard(Answered):
    """The guard of a version: a small network beside the classifier, which knows the classes that it refuses."""

    classes: list[int]
    deleted_at: datetime | None = Field(description="Since then the classifier answers alone; null while it is there.")


class Version(Answered):
    """One immutable version of a model."""

    model: str
    number: int
    state: VersionState
    serving: bool
    origin: Origin
    parent: int | None
    digest: str = Field(description="`sha256:` and the SHA-256 of `model.safetensors`.", examples=["sha256:9f86d081…"])
    forgotten: Forgotten
    claim: Claim | None = Field(description="What the version claims; null where nothing was forgotten.")
    metrics: VersionMetrics
    warning: str | None = Field(default=None, description="As in `metrics`: the version answers no better than chance.")
    created_at: datetime
    forget_request: UUID | None
    guard: VersionGuard | None = Field(
        default=None, description="The guard of the version; null: it refuses without one."
    )
    manifest: dict[str, Any]


class ServingRequest(Asked):
    """Which version is to serve."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{"version": 2}]})
    version: int = Field(ge=1, lt=2**31)
