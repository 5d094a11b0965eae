"""The wire contract, shared by server and client: what goes in, what comes out. No torch, no SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, Union
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationInfo,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import to_json

from app.specs.architectures import Architecture, Mlp
from app.specs.fields import Seed
from app.specs.learning import Learning, Mode, Standard
from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.edit import EditParameters, Scope, Strategy
from app.specs.refusing import Budgets, GuardParameters, Refusal
from app.specs.reports import Measurements, Memorisation, TaskMeasurements
from app.specs.target import TargetKind
from app.specs.training import (
    ARCHITECTURE_OF_MODE,
    TRAINING_OF_MODE,
    BatchSize,
    EarlyStopping,
    Epochs,
    LearningRate,
    Momentum,
    Optimizer,
    Schedule,
    Training,
    WeightDecay,
)

Item = TypeVar("Item")

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["digits"])]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Free text; no database but SQLite stores a null character."""
ClassIndex = Annotated[int, Field(ge=0, lt=2**31)]
SampleIndex = Annotated[int, Field(ge=0, lt=2**53)]


def _each_once(found: list[Item]) -> list[Item]:
    if len(set(found)) < len(found):
        raise ValueError("name each once")
    return found


ClassList = Annotated[
    list[ClassIndex],
    Field(min_length=1, max_length=10_000, fail_fast=True, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_each_once),
]
NewTask = ClassList
ApiScope = Literal["read", "predict", "train", "forget", "audit", "admin"]
API_SCOPE_MEANINGS: Mapping[ApiScope, str] = {
    "read": "Look at models, versions, jobs, requests, reports and metrics, and download the weights of available versions.",
    "predict": "Classify inputs.",
    "train": "Create models, train them further, and cancel trainings.",
    "forget": "Forget, verify, compare, purge, delete guards, and cancel such jobs.",
    "audit": "Read the audit log and have it verified.",
    "admin": "Do everything, the management of keys included.",
}
Claim = Literal["suppressed", "edited", "approximate", "exact"]
if TYPE_CHECKING:
    Method = str
    Parameters = Budgets
else:
    Method = Literal["auto", MethodName]
    Parameters = Union[(*(spec.parameters for spec in METHOD_SPECS.values()), Budgets)]
    """The parameters of a forget request: those that its method has, or for `auto` the budgets that all methods have."""
AUTO_MEANING = "The server chooses the method; a dry run says which one and why."
Reference = Literal["wait", "cached", "none"]
REFERENCE_MEANINGS: Mapping[Reference, str] = {
    "wait": "Retrained models that are missing are trained, and the work waits for them.",
    "cached": "Retrained models that were kept are used; none is trained.",
    "none": "Nothing is compared with retrained models.",
}
PARAMETERS: Mapping[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (*(spec.parameters for spec in METHOD_SPECS.values()), Budgets)
}
"""What reads the parameters of each kind. Made here, once: making one parses the source of its class, which threads of
CPython 3.11 cannot do at the same time (github.com/python/cpython/issues/106905)."""
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
JobKind = Literal["train", "forget", "reference", "verify", "compare"]
JOB_KIND_MEANINGS: Mapping[JobKind, str] = {
    "train": "Trains a version.",
    "forget": "Carries a forget request out.",
    "reference": "Retrains a model without what is forgotten, to compare with; it never serves.",
    "verify": "Carries a verification out.",
    "compare": "Forgets by several methods and compares them; it publishes nothing.",
}
JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
JOB_STATUS_MEANINGS: Mapping[JobStatus, str] = {
    "queued": "The job waits for a worker, or for other jobs.",
    "running": "A worker computes the job.",
    "succeeded": "The job came to its end; the verdict of a forget request says whether it forgot.",
    "failed": "The job ended by an error, which `problem` tells, and had no effect.",
    "cancelled": "Somebody cancelled the job; it had no effect.",
}
ForgetStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
WORK_STATUS_MEANINGS: Mapping[ForgetStatus, str] = {
    "queued": "Its job waits for a worker, or for other jobs.",
    "running": "A worker carries it out.",
    "completed": "It was carried out, and its result holds.",
    "failed": "It ended without a result that holds; nothing was published.",
    "cancelled": "Somebody cancelled its job; nothing was published.",
}
"""These states are those of forget requests and of verifications."""
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
FORGOTTEN_TOKEN = "[forgotten]"  # noqa: S105  a label, not a secret


class Asked(BaseModel):
    """A request body: unknown fields are an error, so that a misspelt option is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answered(BaseModel):
    """An answer: fields may be added by later servers, so unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


# --- problems (RFC 9457) -------------------------------------------------------------------------


class ProblemError(Answered):
    """One fault of a request body."""

    pointer: str = Field(description="RFC 6901 JSON pointer to the faulty part; empty for the whole body.")
    detail: str


class Problem(Answered):
    """Problem details (RFC 9457); the answer to everything that goes wrong."""

    type: str = Field(description="A page that explains this kind of problem.", examples=["/problems/model-not-found"])
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[ProblemError] = Field(default_factory=list)
    checks: dict[str, str] | None = Field(default=None, description="In answers of /readyz: each part and how it is.")


# --- lists ---------------------------------------------------------------------------------------


class Page(Answered, Generic[Item]):
    """One page of a list in a stable order."""

    items: list[Item]
    next_page_token: str | None = Field(
        default=None, description="Send as `page_token` for the next page; null: the end."
    )


# --- catalogues ----------------------------------------------------------------------------------


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


# --- jobs ----------------------------------------------------------------------------------------


class Progress(Answered):
    """How far a job is."""

    fraction: float = Field(ge=0, le=1)
    stage: str
    message: str


class Job(Answered):
    """Long work: where it stands and what came of it."""

    id: UUID
    kind: JobKind
    status: JobStatus
    model: str
    progress: Progress
    attempts: int = Field(description="How often the work was started.")
    result: dict[str, Any] | None
    problem: Problem | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


# --- models and versions -------------------------------------------------------------------------


class Forgotten(Answered):
    """What a model or version has forgotten."""

    classes: list[int] = Field(default_factory=list)
    tasks: list[int] = Field(default_factory=list)
    num_samples: int = 0


def _tagged(given: Any, tag: str, default: str) -> Any:
    """A part of a body with the name of its kind, which may be left out."""
    return {**given, tag: default} if isinstance(given, dict) and given.get(tag) is None else given


def _depends(published: dict[str, Any]) -> None:
    """Leave out a default that depends on other fields: the description says how, a constant would be untrue."""
    del published["default"]


def _filled(given: Any, default: Any) -> Any:
    """Fields as given, the others as in `default`; left as it is where that is another kind of thing."""
    fields = asdict(default)
    same_kind = isinstance(given, dict) and given.get("type") == fields.get("type")
    return fields | given if same_kind else given


def _as_tuples(given: Any) -> Any:
    """JSON's lists as tuples, which strict validation takes from JSON text alone, not from what a validator returns."""
    if isinstance(given, dict):
        return {name: _as_tuples(value) for name, value in given.items()}
    return tuple(_as_tuples(value) for value in given) if isinstance(given, list) else given


class ModelCreate(Asked):
    """A new model: everything but name and data set has a default, which may depend on the learning mode."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "digits",
                    "dataset": "mnist",
                    "architecture": {"type": "mlp", "hidden": [128]},
                    "learning": {"mode": "standard"},
                    "training": {
                        "epochs": 5,
                        "batch_size": 128,
                        "optimizer": "adam",
                        "learning_rate": 0.005,
                        "seed": 0,
                    },
                },
                {
                    "name": "digits-by-task",
                    "dataset": "mnist",
                    "learning": {
                        "mode": "synaptic_intelligence",
                        "tasks": [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]],
                        "c": 1.0,
                        "xi": 0.001,
                    },
                },
                {
                    "name": "digits-growing",
                    "dataset": "mnist",
                    "architecture": {"type": "mlp", "hidden": [50, 50]},
                    "learning": {"mode": "progressive", "tasks": [[0, 1], [2, 3]], "growth": [50, 50]},
                    "training": {"epochs": 10},
                },
                {
                    "name": "digits-in-shards",
                    "dataset": "mnist",
                    "learning": {"mode": "sisa", "shards": 5, "slices": 3},
                },
            ]
        },
    )
    name: ModelName
    dataset: str = Field(max_length=100, examples=["mnist"])
    architecture: Annotated[Architecture, Field(discriminator="type")] = Field(
        default_factory=Mlp,
        description="Left out: an mlp of hidden [128], [50] for tasks in a static network, [50, 50] in a growing one. "
        "A growing network has these widths at its first task.",
    )
    learning: Annotated[Learning, Field(discriminator="mode")] = Field(
        default_factory=Standard, description="All classes at once, tasks one after the other, or shards of the rows."
    )
    training: Training = Field(
        default_factory=Training,
        description="What is left out is that of the learning mode: `synaptic_intelligence` batch_size 1000, "
        "learning_rate .001; `progressive` epochs 10, learning_rate .01; both a constant schedule, and epochs per task.",
    )

    @model_validator(mode="before")
    @classmethod
    def _as_the_mode_has_it(cls, given: Any) -> Any:
        """Fill what is left out, before defaults that know nothing of the mode do it."""
        if not isinstance(given, dict):
            return given
        learning = _tagged(given.get("learning", Standard()), "mode", "standard")
        given = {**given, "learning": learning, "architecture": _tagged(given.get("architecture", {}), "type", "mlp")}
        mode = learning.get("mode") if isinstance(learning, dict) else getattr(learning, "mode", None)
        for name, of_mode in (("architecture", ARCHITECTURE_OF_MODE), ("training", TRAINING_OF_MODE)):
            default = next((default for known, default in of_mode.items() if known == mode), None)
            if default is not None:
                given = {**given, name: _filled(given.get(name, default), default)}
        return _as_tuples(given)


class TrainingChanges(Asked):
    """What a training run does otherwise than the model's own training; what is left out or null stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, from_attributes=True)
    epochs: Epochs | None = None
    batch_size: BatchSize | None = None
    optimizer: Optimizer | None = None
    learning_rate: LearningRate | None = None
    momentum: Momentum | None = None
    weight_decay: WeightDecay | None = None
    schedule: Schedule | None = None
    early_stopping: EarlyStopping | None = None
    seed: Seed | None = None


class TrainRequest(Asked):
    """One more training run on the retained data of a model, or further tasks."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"training": {"epochs": 2}, "serve": True}, {"tasks": [[8, 9]]}]},
    )
    training: TrainingChanges | None = Field(
        default=None, description="What is left out, or all of it, is as in the model's own `training`."
    )
    from_scratch: bool = Field(default=False, description="Start from fresh weights instead of the serving version.")
    classes: ClassList | None = Field(
        default=None, description="Learn from these classes alone; empty: from every retained one."
    )
    tasks: Annotated[list[NewTask], Field(min_length=1, max_length=1000, fail_fast=True)] | None = Field(
        default=None,
        description="Further tasks, each a list of classes, learned after those of the serving version; empty: learn "
        "what is retained once more, the tasks in their order.",
    )
    serve: bool = Field(default=True, description="Whether the new version becomes the serving one.")

    @model_validator(mode="after")
    def _tasks_alone(self) -> TrainRequest:
        if self.tasks is not None and (self.from_scratch or self.classes is not None):
            raise ValueError(
                "further tasks are learned on top of the serving version: leave from_scratch and classes out"
            )
        return self


class Model(Answered):
    """A named model: a line of versions, one of which serves."""

    name: str
    dataset: str
    architecture: dict[str, Any]
    learning: dict[str, Any]
    training: dict[str, Any]
    serving_version: int | None
    latest_version: int | None
    forgotten: Forgotten
    created_at: datetime


class ModelAndJob(Answered):
    """A model and the job that trains it."""

    model: Model
    job: Job


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


# --- forget --------------------------------------------------------------------------------------


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
    """What a forget request is where it says nothing."""
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
        """The parameters of the method that is asked for; `info.data` lacks it where it is none."""
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
    """What the parameters of a method are."""
    return Budgets if method == "auto" else METHOD_SPECS[method].parameters


class Criterion(Answered):
    """One thing the effect gate demands, and whether it held; judged on the calibration split."""

    name: str
    detail: str
    value: float
    threshold: float
    passed: bool


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


# --- verifications -------------------------------------------------------------------------------


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


# --- predict -------------------------------------------------------------------------------------


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


# --- API keys ------------------------------------------------------------------------------------


class ApiKeyCreate(Asked):
    """A new API key."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"name": "dashboard", "scopes": ["read", "predict"]}]},
    )
    name: Text = Field(min_length=1, max_length=100)
    scopes: list[ApiScope] = Field(min_length=1, max_length=100, fail_fast=True)


class ApiKey(Answered):
    """An API key, without its secret."""

    id: UUID
    name: str
    scopes: list[ApiScope]
    created_at: datetime
    revoked_at: datetime | None


class ApiKeyCreated(ApiKey):
    """A new API key; the secret is shown this once."""

    key: str


# --- audit ---------------------------------------------------------------------------------------


class AuditEvent(Answered):
    """One entry of the audit log."""

    index: int
    at: datetime
    event: str
    actor: str
    request_id: str | None
    model: str | None
    version: int | None
    forget_request: UUID | None
    details: dict[str, Any]
    leaf_hash: str = Field(description="SHA-256 of a zero byte and the entry's canonical JSON (RFC 6962), in hex.")


class AuditProblem(Answered):
    """What does not hold: one entry, what is to guard all of them, or a row of another table that contradicts them."""

    index: int | None = Field(
        description="The index of the entry; null: the fault is in no entry, and the reason says where."
    )
    reason: str
    column: str | None = Field(
        description="The column of the log, or of another table with its name before a dot, as in `version.claim`; null: no column."
    )


class AuditVerification(Answered):
    """The result of recomputing the whole log."""

    ok: bool
    size: int
    root: str = Field(description="RFC 6962 Merkle tree hash over all entries, in hex.")
    problems: list[AuditProblem]


class Health(Answered):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(Answered):
    """Every part works."""

    status: Literal["ok"] = "ok"
    checks: dict[str, str]
