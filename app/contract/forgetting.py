"""Forget requests: what is asked for, what would happen, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union
from uuid import UUID

from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationInfo,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import to_json

from app.contract.fields import Answered, Asked, ClassList, SampleIndex, Text, _depends
from app.contract.jobs import ForgetStatus, Job
from app.contract.problems import ProblemError
from app.contract.verifying import Reference, Verdict, VerificationMeasurement, VerificationReport
from app.specs.claims import Claim
from app.specs.fields import Seed
from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.edit import EditParameters, Scope, Strategy
from app.specs.refusing import Budgets, GuardParameters, Refusal
from app.specs.reports import Measurements

if TYPE_CHECKING:
    Method = str
    Parameters = Budgets
else:
    Method = Literal["auto", MethodName]
    Parameters = Union[(*(spec.parameters for spec in METHOD_SPECS.values()), Budgets)]
    """The parameters of a forget request: those that its method has, or for `auto` the budgets that all methods have."""
AUTO_MEANING = "The server chooses the method; a dry run says which one and why."
PARAMETERS: Mapping[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (*(spec.parameters for spec in METHOD_SPECS.values()), Budgets)
}
"""What reads the parameters of each kind. Made here, once: making one parses the source of its class, which threads of
CPython 3.11 cannot do at the same time (github.com/python/cpython/issues/106905)."""


class ForgetTarget(Asked):
    """What is to be forgotten: classes, tasks, classes of a task, or samples."""

    classes: ClassList | None = Field(
        default=None, description="Classes to forget; with `tasks`, only these classes of the tasks."
    )
    tasks: ClassList | None = Field(
        default=None,
        description="Tasks to forget, of a model that learns tasks; counted from 0 in the order of learning.",
    )
    samples: Annotated[list[SampleIndex], Field(min_length=1, max_length=100_000, fail_fast=True)] | None = Field(
        default=None, description="Rows of the training file, from 0, each once."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> ForgetTarget:
        if self.samples is not None and (self.classes is not None or self.tasks is not None):
            raise ValueError("samples cannot be combined with classes or tasks; send two requests")
        if self.classes is None and self.tasks is None and self.samples is None:
            raise ValueError("name classes, tasks or samples to forget")
        return self


def _by_target_and_method(given: dict[str, Any]) -> dict[str, Any]:
    """The request with the defaults for its target and its method filled in."""
    target = given.get("target")
    samples = target.get("samples") if isinstance(target, dict) else getattr(target, "samples", None)
    method = given.get("method", "edit" if samples is None else "auto")
    spec = next((spec for name, spec in METHOD_SPECS.items() if name == method), None)
    refusal = given.get("refusal", "none" if samples is not None else spec.default_refusal if spec else "calibrate")
    approximate = method == "auto" or (spec is not None and spec.claim == "approximate")
    return {
        "method": method,
        **({"strategy": None, "scope": None} | (spec.beside if spec else {})),
        "refusal": refusal,
        "guard": GuardParameters() if refusal == "guard" else None,
        "reference": "wait" if approximate else "none",
        "parameters": {},
    }


class ForgetCreate(Asked):
    """A request to forget. What is left out depends on the target and the method, and is filled in when it is read."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "target": {"classes": [2]},
                    "strategy": "zero",
                    "scope": "network",
                    "refusal": "push",
                    "reason": "erasure request 17",
                    "seed": 0,
                },
                {"target": {"tasks": [1]}, "strategy": "random"},
                {"target": {"tasks": [1], "classes": [3]}},
                {"target": {"samples": [17, 4711]}, "max_seconds": 60},
                {"target": {"classes": [2]}, "method": "euk", "refusal": "guard", "parameters": {"layers": 2}},
            ]
        },
    )
    target: ForgetTarget
    method: Method = Field(
        default="edit",
        json_schema_extra=_depends,
        description="See GET /v1/methods. Left out: `edit`, of samples `auto`, which chooses one.",
    )
    strategy: Strategy | None = Field(
        default=None, description="What replaces the weights; only for `edit`. Left out: zero."
    )
    scope: Scope | None = Field(
        default=None,
        description="Whether hidden weights are replaced, too, or only the output rows; only for `edit`. Left out: network.",
    )
    refusal: Refusal = Field(
        default="push",
        json_schema_extra=_depends,
        description="How predict comes to answer 0. Left out: push with `edit`, calibrate with other methods; of samples "
        "it is none.",
    )
    guard: GuardParameters | None = Field(
        default=None, description="Parameters of the guard; only for the refusal `guard`."
    )
    reference: Reference = Field(
        default="none",
        json_schema_extra=_depends,
        description="A retrained model to compare with: trained first, taken where there is one, or none. Left out: wait "
        "with methods that claim `approximate`, none with others; with `auto` wait stands for this.",
    )
    num_references: int = Field(
        default=3,
        ge=1,
        le=10,
        description="Retrained models, each of a seed of its own; of fewer than three nothing is approximate.",
    )
    parameters: Parameters = Field(
        default_factory=EditParameters,
        description="Parameters of the method, see GET /v1/methods; for `auto` only the budgets.",
    )
    max_seconds: float | None = Field(
        default=None,
        gt=0,
        description="Choose only a method that is expected to end within this time; only for `auto`.",
    )
    min_claim: Claim | None = Field(
        default=None,
        description="A result that may claim less is not published; its request ends as failed. One that no result could "
        "reach is refused: 422 for the method and its references, 409 for what the version before claims.",
    )
    reason: Text | None = Field(
        default=None, max_length=1000, description="Kept with the request, never in the audit log."
    )
    seed: Seed = 0
    dry_run: bool = Field(default=False, description="Answer with what would happen and cost; change nothing.")

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        said = {name: value for name, value in given.items() if value is not None or name not in cls.model_fields}
        return _by_target_and_method(said) | said

    @field_validator("strategy", "scope")
    @classmethod
    def _of_edit(cls, value: str | None, info: ValidationInfo) -> str | None:
        spec = METHOD_SPECS.get(info.data.get("method", "auto"))
        if "method" in info.data and (value is not None) != (spec is not None and info.field_name in spec.beside):
            raise ValueError("this goes with the method edit, and with no other: leave it out")
        return value

    @field_validator("guard")
    @classmethod
    def _of_refusal_guard(cls, value: GuardParameters | None, info: ValidationInfo) -> GuardParameters | None:
        if "refusal" in info.data and (value is not None) != (info.data["refusal"] == "guard"):
            raise ValueError("this goes with the refusal guard, and with no other: leave it out")
        return value

    @field_validator("parameters", mode="plain", json_schema_input_type=Parameters)
    @classmethod
    def _of_method(cls, value: Any, info: ValidationInfo) -> Parameters:
        """The parameters of the method that is asked for; `info.data` lacks the method where it is not valid."""
        kind = parameters_of(info.data.get("method", "auto"))
        # By way of JSON, since strict validation takes no dictionary for a dataclass from anything else.
        return value if type(value) is kind else PARAMETERS[kind].validate_json(to_json(value), strict=True)

    @field_serializer("parameters")
    def _as_json(self, value: Parameters) -> dict[str, Any]:
        return asdict(value)

    @field_validator("max_seconds")
    @classmethod
    def _of_auto(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("method", "auto") != "auto":
            raise ValueError("a time limit chooses between methods: send it with the method auto")
        return value


def parameters_of(method: Method) -> type[Parameters]:
    """The type of a method's parameters."""
    return Budgets if method == "auto" else METHOD_SPECS[method].parameters


class Criterion(Answered):
    """One thing the effect gate demands, and whether it held; judged on the calibration split."""

    name: str
    detail: str
    value: float
    threshold: float
    passed: bool


class ForgetReport(Answered):
    """What a forget request did, measured on the very weights that serve, or would have served."""

    before: Measurements
    after: Measurements
    weights_changed: dict[str, int] = Field(description="Number of changed values by parameter tensor.")
    gate: list[Criterion]
    settings: dict[str, Any] = Field(description="What the method chose or was told, thresholds included.")
    seconds: dict[str, float] = Field(description="Wall seconds by stage; `method` is the unlearning alone.")
    cpu_seconds: dict[str, float] = Field(
        default_factory=dict,
        description="CPU seconds by stage, summed over threads; empty in reports of earlier releases.",
    )
    forget_accuracy_before_refusal: float | None = Field(
        default=None,
        description="Share of the forget training set that the method by itself, before any row was struck or null unit "
        "fitted, still gives its true class; null of `edit`, which strikes.",
    )
    left_by_method: bool | None = Field(
        default=None,
        description="Whether that is more than .05 of a class, so that no more than `edited` is claimed; null where there is "
        "no figure, and of samples.",
    )
    rehearsed_classes: list[int] = Field(
        default_factory=list, description="Classes forgotten earlier whose data was read to keep them refused."
    )
    importance_histogram: dict[str, list[int]] = Field(
        default_factory=dict,
        description="Scope `network`, by layer: how many of the hidden weights that could be chosen have which share of "
        "their importance in what is forgotten; 10 equal bins of 0 to 1.",
    )
    verification: VerificationReport | None = Field(
        default=None,
        description="The verification of the same weights, on at most 3,000 rows of a set. The gate decides on publishing; this decides "
        "whether more than `edited` may be claimed, and says which criteria were missed.",
    )

    @computed_field(  # type: ignore[prop-decorator]  # pydantic documents this order
        description="Recall of a linear probe on the last features, of test inputs of the forgotten classes: what is left inside, "
        "whatever is answered. From the verification; null of samples."
    )
    @property
    def probe_recall(self) -> VerificationMeasurement | None:
        """The figure of the verification."""
        criteria = self.verification.criteria if self.verification else []
        figures = (figure for criterion in criteria for figure in criterion.measurements)
        return next((figure for figure in figures if figure.metric == "probe-recall"), None)


class MissedForSought(Answered):
    """Why a version claims less than its method and refusal sought."""

    name: str = Field(description="The name of a criterion of the verification, or `parent_claim`.")
    detail: str = Field(description="What the criterion demands, and whether it did not hold or could not be judged.")
    figures: list[VerificationMeasurement] = Field(description="The figures that missed; empty where there are none.")


class ForgetRequest(Answered):
    """A forget request and what came of it."""

    id: UUID
    model: str
    target: dict[str, list[int]]
    method: str
    requested_method: str
    strategy: Strategy | None
    scope: Scope | None
    refusal: Refusal
    reference: Reference
    num_references: int
    min_claim: Claim | None
    num_samples: int = Field(description="Samples to forget; lists name the first 100 of them, a single request all.")
    verification: UUID | None = Field(
        description="The verification of the result; GET /v1/verifications/{id} has all of it."
    )
    status: ForgetStatus
    verdict: Verdict | None = Field(
        description="`passed`: the effect gate held, and what was sought could be judged; `claim` says how much of it held, "
        "`missed_for_sought` what did not. `inconclusive`: the gate held, and nothing could tell whether more than `edited` "
        "did. `failed`: nothing was published."
    )
    claim: Claim | None = Field(description="What the version claims, about everything forgotten so far.")
    sought: Claim | None = Field(
        default=None,
        description="The claim that method and refusal sought; `missed_for_sought` says why it is not `claim`.",
    )
    missed_for_sought: list[MissedForSought] = Field(default_factory=list)
    parent_version: int | None
    version: int | None
    report: ForgetReport | None
    reason: str | None
    received_at: datetime
    completed_at: datetime | None
    job: Job


class Candidate(Answered):
    """One method that could be used, with its default parameters."""

    method: str
    refusal: Refusal
    claim: Claim = Field(description="The most that the result could claim.")
    expected_seconds: float | None = Field(
        description="Wall seconds without its references; null: it does not apply, or unknown."
    )
    applicable: bool
    reasons: list[ProblemError] = Field(description="What speaks against it, with pointers into the request.")


class ForgetPlan(Answered):
    """The answer to a dry run: what would happen and cost."""

    model: str
    target: dict[str, list[int]]
    method: str
    requested_method: str
    strategy: Strategy | None
    scope: Scope | None
    refusal: Refusal
    reference: Reference
    num_references: int
    num_samples: int
    sought: Claim = Field(description="What method and refusal seek.")
    claim: Claim = Field(description="The most that the version could claim, about everything forgotten by then.")
    parent_version: int | None
    quarantined_versions: list[int] = Field(description="Versions that would stop being reachable at once.")
    num_forget: int | None = Field(description="Training rows to forget; null while nothing was trained.")
    num_retain: int | None = Field(description="Training rows that stay.")
    expected_seconds: float | None = Field(description="From the training time of the serving version; null: unknown.")
    expected_reference_seconds: float | None = Field(
        description="Wall seconds of the retrained models that it would wait for; null: it waits for none, or unknown."
    )
    why: str = Field(description="Why this method.")
    warnings: list[str] = Field(description="What the request may fail by, and what to send instead; often empty.")
    candidates: list[Candidate] = Field(description="Every method, those that do not apply at the end, with reasons.")
