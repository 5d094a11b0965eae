"""The wire contract of comparisons: what goes in, and what the job's result holds. No torch, no SQL."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.contract.fields import Answered, Asked
from app.contract.forgetting import ForgetTarget
from app.contract.problems import Problem
from app.contract.verifying import Verdict
from app.specs.claims import Claim
from app.specs.fields import Seed
from app.specs.methods import MethodName
from app.specs.refusing import Refusal


class ComparedMethod(Asked):
    """One method to be compared, with its parameters."""

    method: MethodName = Field(description="See GET /v1/methods.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="What is left out is the method's default.")


class CompareCreate(Asked):
    """A wish to see methods side by side on one target; publishes nothing."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"target": {"classes": [2]}},
                {
                    "target": {"classes": [2]},
                    "methods": [{"method": "euk"}, {"method": "finetune", "parameters": {"steps": 400}}],
                    "refusal": "none",
                    "num_references": 2,
                    "seed": 0,
                },
            ]
        },
    )
    target: ForgetTarget
    methods: Annotated[list[ComparedMethod], Field(min_length=1, max_length=20)] | None = Field(
        default=None, description="Left out: every method that applies."
    )
    refusal: Refusal | None = Field(
        default=None, description="The refusal of all methods; left out: `calibrate`, and `none` for samples."
    )
    num_references: int = Field(
        default=3,
        ge=1,
        le=5,
        description="Retrained models to compare with; of fewer than three nothing is approximate.",
    )
    seed: Seed = 0


class ComparedFigures(Answered):
    """How one model fares; shares are in 0..1, null where there is nothing to count."""

    forget_accuracy: float | None = Field(description="Forget training rows given their true class, as served.")
    forget_accuracy_before_refusal: float | None = Field(
        default=None,
        description="Forget training rows that the method by itself, before any row was struck or null unit fitted, still "
        "gives their true class; null of `edit`, which strikes, and of models that nothing was forgotten in.",
    )
    retain_accuracy: float | None = Field(description="Retain training rows given their true class, as served.")
    test_accuracy: float | None = Field(description="Retained-class test inputs answered right, as served.")
    refusal_rate: float | None = Field(description="Forgotten-class test inputs answered as forgotten.")
    false_refusal_rate: float | None = Field(description="Retained-class test inputs answered as forgotten.")
    probe_gap: float | None = Field(
        description="Recall of a linear probe on test inputs of the forgotten classes, less that of retrained models."
    )
    mia_gap: float | None = Field(
        description="AUC of a membership attack on the forget set, less that of retrained models."
    )
    seconds: float | None = Field(
        description="Wall seconds of making the model, its measuring apart: what one waits, and longer beside other work."
    )
    cpu_seconds: float | None = Field(
        default=None,
        description="CPU seconds of the same, summed over threads; null of the original, of retrained models where none "
        "was counted with as many threads, and in results of earlier releases.",
    )
    ratio_to_retraining: float | None = Field(
        description="CPU seconds, of those of one retraining with as many threads; null where these are not known. In "
        "results of earlier releases, whose `cpu_seconds` is null, wall seconds of wall seconds at another moment."
    )


class ComparedRow(ComparedFigures):
    """What came of one method; every figure is null where it failed, and `problem` says why."""

    method: str
    parameters: dict[str, Any] = Field(description="The parameters as they were sent.")
    refusal: Refusal
    verdict: Verdict | None = Field(description="What a forget request would have ended with.")
    claim: Claim | None
    problem: Problem | None


class Comparison(Answered):
    """The result of a job of the kind `compare`."""

    target: dict[str, list[int]] = Field(description="What was to be forgotten; the first hundred samples.")
    num_samples: int
    version: int = Field(description="The version that everything was forgotten from.")
    rows: list[ComparedRow]
    original: ComparedFigures
    retrained: ComparedFigures = Field(description="The mean over references; no refusal is fitted in these.")
