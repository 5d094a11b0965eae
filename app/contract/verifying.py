"""Verifications: what is asked for, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import (
    ConfigDict,
    Field,
)

from app.contract.fields import Answered, Asked
from app.contract.jobs import Job
from app.specs.claims import Claim
from app.specs.fields import Seed

Reference = Literal["wait", "cached", "none"]
REFERENCE_MEANINGS: Mapping[Reference, str] = {
    "wait": "Retrained models that are missing are trained, and the work waits for them.",
    "cached": "Retrained models that were kept are used; none is trained.",
    "none": "Nothing is compared with retrained models.",
}
Verdict = Literal["passed", "failed", "inconclusive"]
VERDICT_MEANINGS: Mapping[Verdict, str] = {
    "passed": "Everything that the claim sought needs held; of a forget request: the effect gate held, and what was "
    "sought could be judged.",
    "failed": "Something that is needed did not hold; a forget request then publishes nothing.",
    "inconclusive": "Nothing that is needed failed, but something of it could not be judged; a forget request then claims "
    "`edited` at most.",
}
Depth = Literal["fast", "deep"]
DEPTH_MEANINGS: Mapping[Depth, str] = {
    "fast": "The figures of every forget request: answers, refusals, distances, attacks, and the last features.",
    "deep": "The same, and every layer, relearning, and a test of three samples.",
}
VerificationStatus = Literal["queued", "running", "completed", "failed", "cancelled"]


class VerificationPlace(Answered):
    """Where a figure was measured."""

    set: str = Field(
        description="`forget` and `retain`: training rows; `test_forget` and `test_retain`: test rows; `weights`: none."
    )
    layer: str | None
    setting: str | None = Field(description="What else the figure depends on, in words.")


class VerificationMeasurement(Answered):
    """One figure of the verified model, beside those of the original and of retrained models."""

    metric: str
    version: int = Field(
        description="The version of the metric's definition; figures of two versions are not comparable."
    )
    place: VerificationPlace
    value: float
    low: float | None = Field(description="The interval at 95 %, over inputs; null where there is none.")
    high: float | None
    original: float | None
    retrained: dict[str, float] = Field(
        description="The figure of each retrained model, by seed; for a distance, that of each to the others."
    )
    struck: float | None = Field(
        default=None,
        description="The figure of the original with the rows of the classes to forget struck and nothing else changed.",
    )
    at_least: float | None
    at_most: float | None
    passed: bool | None = Field(
        description="Whether the figure passes; null: it is only shown, or there is nothing to judge it against."
    )
    power: bool | None = Field(
        description="Whether the figure fails the original (for classes, with their rows struck) and passes every "
        "retrained model; null: it was not tried."
    )


class VerificationCriterion(Answered):
    """One thing that must hold of the verified model."""

    number: int
    name: str
    statement: str
    needed_for: Claim = Field(description="The claim for which the criterion is part of the evidence.")
    passed: bool | None = Field(description="Whether the criterion holds; null where it could not be judged.")
    measurements: list[VerificationMeasurement]
    controlled: bool = Field(description="Whether the original and retrained models can be judged by it, too.")
    power: bool | None = Field(
        default=None,
        description="Whether a figure of a criterion that compares with retrained models has power. Without power it "
        "supports nothing and prevents nothing. Null: it does not compare, or it was not tried.",
    )


class VerificationControl(Answered):
    """What became, by the same criteria, of the models whose verdict is known beforehand."""

    original_fails: bool | None = Field(
        description="Whether the original fails a figure; null where there is no original, or nothing to judge it by."
    )
    retrained_pass: dict[str, bool | None] = Field(
        description="For each retrained model, by seed: whether it passes every figure, judged by the others."
    )
    failed_by_original: list[str] = Field(description="Names of the criteria that the original fails by a figure.")
    failed_by_retrained: dict[str, list[str]] = Field(
        description="For each retrained model, by seed: the names of the criteria that it fails."
    )
    num_figures: int = Field(default=0, description="Figures that can show that something was forgotten.")
    num_with_power: int = Field(
        default=0,
        description="How many of them fail the original and pass every retrained model; the others support no claim.",
    )


class VerificationRepetition(Answered):
    """What came of carrying the method of the request out once more, with the recorded parameters, seed and data."""

    equal: bool | None = Field(description="Whether it gave the same parameters, bit by bit; null: not repeated.")
    digest: str | None = Field(description="SHA-256, in hex, of the parameters that it gave.")
    why_not: str | None = Field(description="Why it could not be repeated here, in a sentence.")


class VerificationReport(Answered):
    """What must hold of an unlearned model beside the original and retrained ones, what was measured, what follows."""

    verdict: Verdict
    claim: Claim | None = Field(
        description="What these figures are evidence for, up to the one sought; of the fast one of a forget request, what that claims."
    )
    depth: Literal["fast", "deep"]
    seed: int
    digest: str = Field(description="SHA-256, in hex, of the parameters that were verified.")
    forget_classes: list[int] = Field(description="Empty where samples were forgotten.")
    rows: dict[str, int] = Field(description="How many rows of each set were looked at.")
    references: list[int] = Field(description="Seeds of the retrained models.")
    sought: Claim = Field(description="The most that method and refusal would allow.")
    parent_claim: Claim | None = Field(
        default=None,
        description="The claim of the version it was made from, which a claim about everything forgotten so far cannot exceed.",
    )
    criteria: list[VerificationCriterion]
    shown: list[VerificationMeasurement] = Field(description="Figures that decide nothing.")
    control: VerificationControl
    does_not_prove: list[str]
    repetition: VerificationRepetition | None = Field(default=None, description="Null: nobody asked for one.")


class VerifyCreate(Asked):
    """A verification of what a version has forgotten."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"depth": "deep", "num_references": 3}]}
    )
    depth: Depth = Field(
        default="deep", description="`deep`: every layer, relearning, attacks calibrated by retrained models."
    )
    num_references: int = Field(
        default=3, ge=1, le=10, description="Retrained models to compare with; the control needs three."
    )
    reference: Reference = Field(
        default="wait", description="`wait`: retrain those that are missing; `cached`: use those there are; `none`."
    )
    forget_request: UUID | None = Field(
        default=None,
        description="What was forgotten; empty: by the latest completed request that the version knows of.",
    )
    repeat: bool = Field(
        default=False,
        description="Carry the method of the request out once more, as recorded, and compare the parameters bit by bit: of "
        "retrain, sisa, and euk with every layer anew. It takes as long as it took then.",
    )
    seed: Seed = 0


class Verification(Answered):
    """A verification and what it found; it never changes what the version claims."""

    id: UUID
    model: str
    version: int | None = Field(description="Null where the request failed and published none.")
    forget_request: UUID
    depth: Depth
    status: VerificationStatus
    verdict: Verdict | None = Field(description="The verdict of this verification alone; null until it is completed.")
    claim: Claim | None = Field(description="What its figures are evidence for; null: nothing.")
    digest: str | None = Field(
        description="The digest of the version's weights, `sha256:…`; null where none was published."
    )
    report: VerificationReport | None
    job: Job
    created_at: datetime
    completed_at: datetime | None
