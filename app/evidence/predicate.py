"""The predicate of a certificate: what was asked, done, measured and claimed, and what all of it does not prove.

Fields are never added, removed or changed under one predicate type; the published JSON Schema
(`unlearning-certificate-v1.schema.json`) is that of these models. All figures are decimal strings, since no two programs
agree on how to write a float. A certificate cannot contradict itself: whether a figure passes follows from its value and its
bounds, and the claim from the criteria.
"""

from __future__ import annotations

from decimal import Decimal as Exact
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from app.specs.claims import CLAIMS, EVIDENCE, Claim

LIMITS = (
    "This certificate states what was done and measured. It does not prove that no trace of the target remains.",
    "The measurements are those of the operator, on the data, with the seed and in the environment named by digest.",
    "It speaks of the files listed as subjects alone: not of backups, of other models, or of copies held elsewhere.",
    "The signatures show who states this and that it was not changed since; they do not show that it is true.",
)
"""What a certificate does not prove; every certificate carries these sentences."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Decimal = Annotated[str, Field(pattern=r"^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,20})?$")]
Count = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,18})$")]
Time = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$")]
Origin = Annotated[str, Field(pattern=r"^[^\s+]{1,200}$")]
VersionNumber = Annotated[int, Field(ge=1, lt=2**31)]
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,1000}$")]
"""One line of text."""
Indexes = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(max_length=10_000)]


class Part(BaseModel):
    """Nothing but the named fields, of exactly their types."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class Digest(Part):
    """A digest of bytes."""

    sha256: Sha256


class Subject(Part):
    """One file of the new version."""

    name: Name
    digest: Digest


class ModelVersion(Part):
    """A version of a model, by name, number and digests."""

    model: Name
    version: VersionNumber
    manifest_digest: Digest
    """The digest of the manifest, which names every file of the version with its digest, the data and the recipe."""
    weights_digest: Digest
    """The digest of the file of its weights."""


class SampleSet(Part):
    """A keyed commitment of a set of samples: the Merkle root of their sorted HMACs, and how many they are."""

    root: Sha256
    count: Count


class Target(Part):
    """What was to be forgotten: classes or tasks by index, or a commitment of either or of samples."""

    classes: Indexes = ()
    tasks: Indexes = ()
    commitment: Sha256 | None = None
    samples: SampleSet | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Target:
        if not (self.classes or self.tasks or self.commitment or self.samples):
            raise ValueError("a target names classes, tasks, samples or a commitment")
        return self


class Method(Part):
    """How it was to be forgotten."""

    name: Name
    parameters_digest: Digest
    """The digest of the parameters as canonical JSON."""
    seed: Count


class Build(Part):
    """What computed it."""

    forgettery: Annotated[str, Field(max_length=100)]
    """Version of the service."""
    code_digest: Digest
    environment_digest: Digest


class Interval(Part):
    """The interval of a figure at 95 %, over inputs."""

    low: Decimal
    high: Decimal


class RetrainedFigure(Part):
    """The figure of one model that was retrained without the target; for a distance, that of this model to the others."""

    seed: Count
    value: Decimal


class Figure(Part):
    """One figure of the certified version, beside those of the version before and of retrained models."""

    metric: Name
    metric_version: Count
    """Figures of two versions of a metric are not comparable."""
    set: Name
    """The rows that it was measured on."""
    layer: Text | None
    """The layer whose features were looked at; null where the answers were."""
    setting: Text | None
    """What else it depends on, in words."""
    value: Decimal
    interval: Interval | None
    original: Decimal | None
    """The figure of the version before."""
    struck: Decimal | None
    """The figure of the version before with the output rows of the target struck and nothing else changed."""
    retrained: Annotated[tuple[RetrainedFigure, ...], Field(max_length=1000)]
    direction: Literal["at-least", "at-most", "between", "shown"]
    """On which side of its bounds the figure has to lie; shown: it decides nothing."""
    at_least: Decimal | None
    at_most: Decimal | None
    passed: bool | None
    """Whether the figure lies within its bounds; null where it has none."""
    power: bool | None
    """Whether it fails the version before and passes every retrained model; null where that was not tried."""

    @model_validator(mode="after")
    def _follows_from_its_bounds(self) -> Figure:
        named = {(False, False): "shown", (True, False): "at-least", (False, True): "at-most", (True, True): "between"}
        if self.direction != named[self.at_least is not None, self.at_most is not None]:
            raise ValueError("the direction of a figure is that of its bounds")
        within = (self.at_least is None or Exact(self.value) >= Exact(self.at_least)) and (
            self.at_most is None or Exact(self.value) <= Exact(self.at_most)
        )
        if self.passed is not (None if self.direction == "shown" else within):
            raise ValueError(
                "a figure passes if it lies within its bounds, and without bounds there is nothing to pass"
            )
        return self


class Criterion(Part):
    """One thing that must hold of the certified version, as the verification of its very weights found it."""

    name: Name
    statement: Text
    needed_for: Claim
    """The claim for which it is part of the evidence."""
    passed: bool | None
    """Null where it could not be judged."""
    power: bool | None
    """Whether a figure has power; without, the criterion supports nothing and prevents nothing. Null: not tried."""
    figures: Annotated[tuple[Figure, ...], Field(max_length=10_000)]


class GateCriterion(Part):
    """One thing that the version must hold to be published at all; judged on rows that nothing was fitted to."""

    name: Name
    statement: Text
    value: Decimal
    threshold: Decimal
    direction: Literal["at-least", "at-most", "below"]
    """below: less than the threshold, or 0."""

    @model_validator(mode="after")
    def _holds(self) -> GateCriterion:
        value, threshold = Exact(self.value), Exact(self.threshold)
        holds = {
            "at-least": value >= threshold,
            "at-most": value <= threshold,
            "below": value < threshold or value == 0,
        }
        if not holds[self.direction]:
            raise ValueError("a version that misses a criterion of the gate is not published and has no certificate")
        return self


class Control(Part):
    """What became, by the same criteria, of models whose verdict is known beforehand."""

    original_fails: bool | None
    """Null where there is no version before, or nothing to judge it by."""
    retrained_pass: Annotated[tuple[RetrainedVerdict, ...], Field(max_length=1000)]
    num_figures: Count
    """Figures that can show that something was forgotten."""
    num_with_power: Count
    """How many of them fail the version before and pass every retrained model."""


class RetrainedVerdict(Part):
    """Whether one retrained model passes every figure, judged by the others; null where it could not be judged."""

    seed: Count
    passed: bool | None


class Verification(Part):
    """What was looked at to judge the version, and how."""

    depth: Literal["fast", "deep"]
    seed: Count
    weights_digest: Digest
    """The digest of names, shapes and bits of the parameters that were verified: those of the certified version."""
    rows: Annotated[tuple[NumRows, ...], Field(max_length=100)]
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1, max_length=1000)]
    control: Control
    does_not_prove: Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)]


class NumRows(Part):
    """How many rows of a set were looked at."""

    set: Name
    count: Count


class Times(Part):
    """When it was asked, done and stated, in UTC."""

    received_at: Time
    started_at: Time
    finished_at: Time
    issued_at: Time


class RequestEntry(Part):
    """The entry of the request in the log, before this certificate's own."""

    origin: Origin
    index: Count
    leaf_hash: Sha256


class Certificate(Part):
    """What was asked, done, measured and claimed, and what all of it does not prove."""

    request: Id
    input: ModelVersion
    output: ModelVersion
    target: Target
    method: Method
    refusal: Literal["none", "calibrate", "push", "guard"]
    """How inputs of the target come to be answered as forgotten."""
    build: Build
    sought: Claim
    """The most that method and refusal would allow."""
    claim: Claim
    verdict: Literal["passed", "inconclusive"]
    """A failed request has no certificate."""
    gate: Annotated[tuple[GateCriterion, ...], Field(min_length=1, max_length=10_000)]
    verification: Verification
    times: Times
    log: RequestEntry
    limits: tuple[str, ...] = LIMITS

    @model_validator(mode="after")
    def _states_its_limits(self) -> Certificate:
        if self.limits != LIMITS:
            raise ValueError("a certificate carries the sentences on what it does not prove, word for word")
        return self

    @model_validator(mode="after")
    def _claims_no_more_than_it_shows(self) -> Certificate:
        most: Claim = "edited" if self.verdict == "inconclusive" else self.sought
        if CLAIMS.index(self.claim) > min(CLAIMS.index(most), CLAIMS.index(self.sought)):
            raise ValueError("a certificate claims no more than was sought, and an inconclusive one `edited` at most")
        if self.claim in ("approximate", "exact") and not self._shown():
            raise ValueError("what the claim needs is not among the criteria that held")
        return self

    def _shown(self) -> bool:
        """Whether all criteria held that the claim needs, but those without power, one of its own level among them."""
        needed = [found for found in self.verification.criteria if found.needed_for in EVIDENCE[self.claim]]
        counting = [found for found in needed if found.power is not False]
        own = any(found.needed_for == self.claim for found in counting)
        return own and all(found.passed is True for found in counting)
