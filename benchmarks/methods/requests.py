"""One row of a table carried out by the product's own verb, and the CPU seconds of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from app.specs.learning import Sisa
from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.edit import EditParameters
from app.specs.methods.retrain import RetrainParameters
from app.specs.refusing import Budgets
from app.specs.request import ForgetSpec
from app.specs.target import Target
from app.unlearning.case import Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.forgetting import forget
from app.unlearning.judging.verifying.claims import Sought
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.sisa.learning import Recipe, train_sharded
from app.unlearning.partition import Partition
from app.unlearning.refusing.guard import Guard
from benchmarks.methods.setting import REFERENCE_SEED, RETRAIN_SEED, Case, Row
from benchmarks.study import ARCHITECTURES


@dataclass(frozen=True)
class Result:
    """What a row made."""

    model: Classifier
    seconds: float
    """Process CPU time of method and refusal, without measuring and judging."""
    sought: Sought
    left: float | None = None
    """Share of the forget training set still given its class before any row is struck; None of `original` and `edit`."""
    guard: Guard | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sharded:
    """What `sisa` forgets from and is compared with: models of its own kind."""

    original: Classifier
    reference: Classifier
    retraining_seconds: float
    """CPU time of the reference's training."""


def run(case: Case, row: Row, data: Dataset, partition: Partition, original: Classifier) -> Result:
    """The row's result; `original` is not touched. Raises NotApplicable where the method is not for this case."""
    if row.method == "original":
        return Result(original, 0.0, Sought("approximate", "none", EditParameters().utility_budget))
    clock = Clock()
    found = forget(Parent(original), data, _asked(case, row, partition), clock.context)
    left = found.report.forget_accuracy_before_refusal
    return Result(found.model, clock.seconds, found.sought, left, found.guard, found.report.settings)


class Clock:
    """CPU seconds from its making until measuring begins, as the context of the computation is told."""

    def __init__(self) -> None:
        """Begin to count."""
        self._start, self.seconds = time.process_time(), 0.0

    @property
    def context(self) -> Context:
        """To be handed to the computation."""
        return Context(progress=self._told)

    def _told(self, fraction: float, stage: str, message: str) -> None:  # noqa: ARG002  as contexts call it
        if stage == "measuring" and not self.seconds:
            self.seconds = time.process_time() - self._start


def _asked(case: Case, row: Row, partition: Partition) -> ForgetSpec:
    """The request, all parameters as they are by default."""
    samples = () if partition.forget_classes else tuple(partition.train.forget.tolist())
    target = Target(partition.forget_classes, samples=samples)
    seed = case.seed + RETRAIN_SEED if row.method == "retrain" else case.seed
    return ForgetSpec(target, row.method, _parameters(case, row.method), row.refusal, seed=seed)


def _parameters(case: Case, method: MethodName) -> Budgets:
    if method == "retrain":
        return RetrainParameters(training=case.training)
    spec = METHOD_SPECS[method]
    return spec.told(spec.parameters(), spec.beside)


def sharded(case: Case, data: Dataset, partition: Partition) -> Sharded:
    """A sharded model of all rows, and one of another seed of the retained ones."""
    recipe = Recipe(ARCHITECTURES[case.architecture], Sisa(), case.training)
    original = train_sharded(recipe, data, data.train_rows, Context())
    other = replace(recipe, training=replace(case.training, seed=case.seed + REFERENCE_SEED))
    start = time.process_time()
    reference = train_sharded(other, data, partition.train.retain, Context())
    return Sharded(original, reference, time.process_time() - start)
