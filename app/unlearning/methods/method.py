"""What every unlearning method has in common: how it is called, what it gives, and what is refused before it begins."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import torch
from torch import Tensor

from app.errors import FieldError, NotApplicable
from app.method_parameters import MethodParameters
from app.method_specs import MethodSpec, Target, reasons_against
from app.unlearning.architectures import Classifier, seeded
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.partition import Partition
from app.unlearning.stopwatch import Stopwatch
from app.unlearning.synaptic_intelligence import Importance
from app.unlearning.training import deterministic_algorithms


@dataclass(frozen=True)
class Computed:
    """What a method made, before the classes to forget are struck."""

    model: Classifier
    settings: dict[str, Any]
    """What it chose or was told beside its parameters; JSON values."""
    importance: Importance = field(default_factory=dict)
    """Of networks that learn tasks with Synaptic Intelligence, as `Learned.importance`; else empty."""
    trained_on: Tensor | None = None
    """int64: the rows of the training file that any weight was fitted to; None where weights of the original stay."""


@dataclass(frozen=True)
class MethodResult:
    """A model that forgot, in evaluation mode, and how it came about."""

    model: Classifier
    unstruck: Classifier
    """What the method made by itself, in evaluation mode: the classes to forget still compete unless it struck them."""
    settings: dict[str, Any]
    """Parameters, and what the method chose or was told; JSON values."""
    seconds: float
    """Wall time of the method alone, its tuning included."""
    cpu_seconds: float
    """The same as `stopwatch.Spent` has it."""
    importance: Importance = field(default_factory=dict)
    """Of networks that learn tasks with Synaptic Intelligence, as `Learned.importance`; else empty."""
    trained_on: Tensor | None = None
    """int64: the rows of the training file that any weight was fitted to; None where weights of the original stay."""


class Compute(Protocol):
    """A method itself: reads training rows of the partition, and of its calibration rows what the original makes of them."""

    def __call__(
        self, original: Classifier, data: Dataset, partition: Partition, parameters: Any, context: Context, *, seed: int
    ) -> Computed:
        """Forget; `original` is a copy made for this call, which may be changed."""


@dataclass(frozen=True)
class Method:
    """One line of the table of methods."""

    spec: MethodSpec
    compute: Compute

    def run(
        self,
        original: Classifier,
        data: Dataset,
        partition: Partition,
        parameters: MethodParameters,
        context: Context,
        *,
        seed: int,
    ) -> MethodResult:
        """Forget what `partition` says; `original` is not touched, and no refusal is fitted.

        The output rows of the classes to forget are zero and struck; nothing is struck for samples. Same seed,
        threads, torch and kind of CPU: same bits. Raises NotApplicable, with every reason, and what ends the context.
        """
        _check(self.spec, original, partition, parameters)
        stopwatch = Stopwatch()
        source = deepcopy(original).to(context.device).eval()
        with seeded(seed), deterministic_algorithms():
            computed = self.compute(source, data, partition, parameters, context, seed=seed)
        model = computed.model.eval()
        unstruck = deepcopy(model) if partition.forget_classes else model
        strike(model, partition)
        told = {entry.name: getattr(parameters, entry.name) for entry in fields(parameters)}
        settings = {**told, **computed.settings, "seed": seed}
        context.report(1.0, "unlearning", "done")
        spent = stopwatch.spent()
        return MethodResult(model, unstruck, settings, spent.wall, spent.cpu, computed.importance, computed.trained_on)


@torch.no_grad()
def strike(model: Classifier, partition: Partition) -> None:
    """Make the output rows of every class forgotten now or earlier zero, and strike them, in place.

    Earlier ones, too: a row that was replaced at random has the mean and the spread of what was there before.
    """
    classes = list(partition.forgotten_classes)
    model.head.weight[classes] = 0.0
    model.head.bias[classes] = 0.0
    model.mark_forgotten(classes)


def target_of(partition: Partition) -> Target:
    """Whether a partition is about classes or about samples."""
    return "classes" if partition.forget_classes else "samples"


def _check(spec: MethodSpec, original: Classifier, partition: Partition, parameters: MethodParameters) -> None:
    """Raise NotApplicable with every reason why this method cannot run here."""
    found = reasons_against(
        spec,
        target=target_of(partition),
        mode=original.learning.mode,
        architecture=original.architecture,
        refusal="none",
    )
    if type(parameters) is not spec.parameters:
        found.append(FieldError("/parameters", f"Parameters must be {spec.parameters.__name__}."))
    if len(partition.train.forget) == 0:
        detail = "No training row is to be forgotten, so there is nothing to unlearn; name rows that the model learned."
        found.append(FieldError("/target", detail))
    if len(partition.train.retain) < 2:  # noqa: PLR2004  one to train on, one to judge by
        found.append(
            FieldError("/target", "Fewer than two training rows would stay; nothing could be learned of them.")
        )
    if partition.earlier_classes != original.forgotten_classes:
        found.append(FieldError("/target", "The partition does not know which classes the model forgot earlier."))
    if found:
        raise NotApplicable(" ".join(fault.detail for fault in found), errors=found)
