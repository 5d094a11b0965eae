"""What forgetting would cost, from what training cost: images passed, at the seconds that one took in training.

Forward alone is a third of a training step, which also goes backward (twice the work) and updates. How many images
each method passes follows from its parameters; how often it tries settings is an average of measured runs
(benchmarks/methods/expected.py). Seconds are nowhere written down: they are those of this model on this machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import specs
from app.database.tables import ModelRow, VersionRow
from app.method_parameters import MethodParameters
from app.method_specs import METHOD_SPECS, MethodName
from app.schemas import ForgetCreate
from app.sharding import expected_share

FORWARD = 1 / 3
"""What a forward pass costs, as a share of a training step: Kaplan et al. 2020 (arXiv:2001.08361), section 2.1, count
2 operations a weight against 6."""

_WITHOUT_CONVOLUTIONS = {"mlp", "gru", "lstm"}
_PER_SAMPLE_ROWS = 2000  # of edit: forget and retain rows
_PER_SAMPLE_STEPS = 3  # training steps that one per-sample gradient is worth
_MOMENTS_STEPS = 2  # the same of ssd, which has sums over samples alone and reads every row
_SUBSPACE_ROWS = 1200  # of projection: forget and retain rows
_SETTLING_STEPS = 60
_SETTLING_STEPS_AFTER_WRONG_ANSWERS = 400
_JUDGED_ROWS = 1000  # held-out and forget rows that one candidate setting is judged by
_STEPS_BETWEEN_JUDGEMENTS = 20
_GUARD_IMAGES = 1.5  # of the guard's batch: half as many forgotten images as retained ones
_CALIBRATION_AND_TEST = 1 / 4  # beside the training rows

EXPECTED_TRIES: dict[MethodName, float] = {
    "finetune": 1.5,
    "neggrad_plus": 1.0,
    "scrub": 2.0,
    "salun": 1.2,
    "bad_teacher": 1.2,
    "ssd": 5.0,
    "projection": 5.0,
}
"""How many values of the setting that a method tunes are tried, on average of measured runs; a value sent is the only one."""

_TUNED: dict[MethodName, str] = {
    "finetune": "learning_rate",
    "neggrad_plus": "forget_weight",
    "scrub": "learning_rate",
    "salun": "learning_rate",
    "bad_teacher": "learning_rate",
    "ssd": "selection",
    "projection": "retain_scale",
}


@dataclass(frozen=True)
class TrainedRows:
    """The training rows of each class, and what an image of them cost in the last training."""

    by_class: list[int]
    seconds_per_image: float
    architecture: str
    mode: specs.Mode
    passes: float
    """How often that training saw each of its rows."""
    sharding: specs.Sisa | None = None
    """How a model learns in shards; None for other models."""

    def of(self, classes: set[int]) -> int:
        """How many training rows these classes have."""
        return sum(rows for number, rows in enumerate(self.by_class) if number in classes)

    @property
    def convolutional(self) -> bool:
        """Whether the network has convolutions."""
        return self.architecture not in _WITHOUT_CONVOLUTIONS


@dataclass(frozen=True)
class Work:
    """One method on one target, of which only numbers of rows are known."""

    rows: TrainedRows
    num_forget: int
    num_retain: int

    def seconds(self, method: str, parameters: Any, refusal: specs.Refusal) -> float:
        """Expected wall seconds: the method, the refusal, the gate, and the fast verification of the result."""
        images = self._edit(parameters) if method == "edit" else self._method(METHOD_NAMES[method], parameters)
        return self._rounded(images + self._refusal(parameters, refusal) + self.measuring())

    def reference_seconds(self, num_references: int) -> float:
        """Expected wall seconds of retraining this number of references."""
        return self._rounded(num_references * self.rows.passes * self.num_retain)

    def measuring(self) -> float:
        """Images, as training steps, passed to judge, to measure before and after, and to verify."""
        sets = min(self.num_retain, specs.MEASURED_ROWS) + min(self.num_forget, specs.MEASURED_ROWS)
        judged = (self.num_retain + self.num_forget) * _CALIBRATION_AND_TEST
        return FORWARD * (2 * (sets + judged) + 2 * (sets + specs.MEASURED_ROWS))

    def _rounded(self, images: float) -> float:
        return round(self.rows.seconds_per_image * images, 1)

    def _edit(self, parameters: Any) -> float:
        """Importance of hidden weights: per-sample gradients of forget and retain rows."""
        return 0.0 if parameters.share == 0 else float(_PER_SAMPLE_ROWS * _PER_SAMPLE_STEPS)

    def _refusal(self, parameters: Any, refusal: specs.Refusal) -> float:
        if refusal == "push":
            default = specs.CONVOLUTIONAL_PUSH_STEPS if self.rows.convolutional else specs.PUSH_STEPS[self.rows.mode]
            steps: int = getattr(parameters, "push_steps", None) or default
            return float(steps * specs.PUSH_BATCH)
        if refusal == "guard":
            guard = specs.GuardParameters()
            return guard.steps * guard.batch_size * _GUARD_IMAGES
        return 0.0

    def _method(self, method: MethodName, parameters: Any) -> float:
        match method:
            case "retrain":
                epochs = parameters.training.epochs if parameters.training else self.rows.passes
                return float(epochs * self.num_retain)
            case "sisa":
                return self._share_of_shards() * self.rows.passes * self.num_retain
            case "euk":
                return self._euk(parameters)
        return expected_tries(method, parameters) * self._try(method, parameters) + self._once(method)

    def _share_of_shards(self) -> float:
        """The share of what training anew passes, for samples that fall into shards and slices at random."""
        sharding = self.rows.sharding
        return expected_share(sharding, round(self.rows.passes), self.num_forget) if sharding else 1.0

    def _euk(self, parameters: Any) -> float:
        """The lower layers pass forward once where there are convolutions; then steps of the others, of which few remain."""
        steps: int = parameters.steps * parameters.batch_size
        if self.rows.convolutional:
            return FORWARD * self.num_retain + steps * EUK_UPPER_SHARE
        return steps * EUK_STEPS_SHARE

    def _once(self, method: MethodName) -> float:
        """What is computed before any setting is tried."""
        once: dict[MethodName, float] = {
            "salun": self.num_forget,
            "ssd": (self.num_forget + self.num_retain) * _MOMENTS_STEPS,
            "projection": _SUBSPACE_ROWS * FORWARD,
        }
        return once.get(method, 0.0)

    def _try(self, method: MethodName, parameters: Any) -> float:
        """One candidate setting: its steps, and judging it."""
        judged = _JUDGED_ROWS * FORWARD
        match method:
            case "finetune":
                return float(parameters.steps * parameters.batch_size + judged)
            case "scrub":
                steps = parameters.rounds * (parameters.forget_steps + parameters.retain_steps) + _SETTLING_STEPS
                return float(steps * parameters.batch_size * (1 + FORWARD) + judged)
            case "neggrad_plus":
                return _both_sets(parameters, _SETTLING_STEPS) + judged
            case "salun":
                return _both_sets(parameters, _SETTLING_STEPS_AFTER_WRONG_ANSWERS) + judged
            case "bad_teacher":
                return _both_sets(parameters, _SETTLING_STEPS_AFTER_WRONG_ANSWERS) * (1 + FORWARD) + judged
        return judged


EUK_STEPS_SHARE = 0.8
"""The share of the allowed steps of `euk` that are taken before held-out rows say that no more is learned."""
EUK_UPPER_SHARE = 0.1
"""This share, times the cost of a step of the last layers relative to a step of the whole network."""

METHOD_NAMES: dict[str, MethodName] = {name: name for name in METHOD_SPECS}


def expected_tries(method: MethodName, parameters: MethodParameters) -> float:
    """How many values of its tuned setting a method tries; one where the setting is sent."""
    return 1.0 if getattr(parameters, _TUNED[method]) is not None else EXPECTED_TRIES[method]


def _both_sets(parameters: Any, settling_steps: int) -> float:
    """Steps on retained and, half as many, forgotten images, judged now and then, and steps to settle."""
    judgements = parameters.steps / _STEPS_BETWEEN_JUDGEMENTS * _JUDGED_ROWS * FORWARD
    return float(parameters.steps * parameters.batch_size * 1.5 + judgements + settling_steps * parameters.batch_size)


def trained_rows(session: Session, model: ModelRow) -> TrainedRows | None:
    """The training rows of a model, from all its trained versions; None if there is none.

    One version may have learned only some classes, or one task.
    """
    trained = (
        select(VersionRow)
        .where(VersionRow.model_id == model.id, VersionRow.origin == "trained")
        .order_by(VersionRow.number)
    )
    versions = list(session.scalars(trained))
    if not versions or "rows_by_class" not in versions[-1].manifest["recipe"]:
        return None
    by_class = [max(rows) for rows in zip(*(v.manifest["recipe"]["rows_by_class"] for v in versions), strict=True)]
    last = versions[-1]
    passes, learning = _passes(last), model.learning
    return TrainedRows(
        by_class,
        last.metrics["training_seconds"] / (passes * sum(last.manifest["recipe"]["rows_by_class"])),
        last.manifest["architecture"]["type"],
        learning.mode,
        passes,
        learning if isinstance(learning, specs.Sisa) else None,
    )


def expected_seconds(rows: TrainedRows, body: ForgetCreate, num_forget: int, num_retain: int) -> float:
    """What a forget request would take, its references apart."""
    return Work(rows, num_forget, num_retain).seconds(body.method, body.parameters, body.refusal)


def _passes(version: VersionRow) -> float:
    """Epochs are counted over all tasks, of which each saw its own rows alone."""
    recipe = version.manifest["recipe"]
    passes: float = recipe["epochs_run"] / len(recipe.get("tasks", [0]))
    return passes
