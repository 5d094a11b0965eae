"""What every unlearning method has in common: how it is called, what it gives, and what is refused before it begins."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from app.errors import FieldError, NotApplicable
from app.specs.methods.method import MethodSpec, reasons_against
from app.specs.refusing import Budgets
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.learning.architectures import Classifier, seeded
from app.unlearning.learning.synaptic_intelligence import Importance
from app.unlearning.learning.training import deterministic_algorithms
from app.unlearning.partition import Partition
from app.unlearning.stopwatch import Spent, Stopwatch


@dataclass(frozen=True)
class Computed:
    """What a method made, before the classes to forget are struck."""

    model: Classifier
    settings: dict[str, Any]
    """What it chose or was told beside its parameters; JSON values; empty where it chooses nothing."""
    importance: Importance = field(default_factory=dict)
    """Importance by task, as in `Learned.importance`; empty unless the network learns with Synaptic Intelligence."""
    trained_on: Tensor | None = None
    """int64: the rows of the training file that any weight was fitted to; None where weights of the original stay."""
    told: dict[str, Any] = field(default_factory=dict)
    """What a report says of it beside its settings; JSON values."""
    struck: bool = False
    """Whether the classes to forget are struck already, because their output rows are what it replaces."""
    importance_histogram: dict[str, list[int]] = field(default_factory=dict)
    """The histogram of `weight_choice.Choice`, by parameter name; empty unless weights were chosen by importance."""


@dataclass(frozen=True)
class MethodResult:
    """A model that forgot, in evaluation mode, and how it came about."""

    model: Classifier
    unstruck: Classifier | None
    """What the method made by itself, in evaluation mode, where the classes to forget still compete in it; else None."""
    settings: dict[str, Any]
    """Parameters, and what the method chose or was told; JSON values."""
    spent: Spent
    """Time spent on the method alone, its tuning included."""
    importance: Importance = field(default_factory=dict)
    """Importance by task, as in `Learned.importance`; empty unless the network learns with Synaptic Intelligence."""
    trained_on: Tensor | None = None
    """int64: the rows of the training file that any weight was fitted to; None where weights of the original stay."""
    told: dict[str, Any] = field(default_factory=dict)
    """What a report says of it beside its settings, as in `Computed.told`."""
    importance_histogram: dict[str, list[int]] = field(default_factory=dict)
    """The histogram of the chosen weights, as in `Computed.importance_histogram`."""


class Compute(Protocol):
    """The function that carries a method out.

    It reads training rows of the case, and the original's answers on calibration rows.
    """

    def __call__(self, case: Case, parameters: Any, context: Context, *, seed: int) -> Computed:
        """Forget what the case says; the original in it is a copy made for this call, which may be changed."""


@dataclass(frozen=True)
class Method:
    """A method: what is known of it, and what carries it out."""

    spec: MethodSpec
    compute: Compute

    def run(self, case: Case, parameters: Budgets, context: Context, *, seed: int) -> MethodResult:
        """Forget what the case says; the original is not touched, and no refusal is fitted.

        The output rows of the classes to forget are replaced, by zeros unless the method has other values for them, and
        struck; for samples no row is struck. Same seed, threads, torch and kind of CPU: same bits. Raises
        NotApplicable, with every reason, and what ends the context.
        """
        _check(self.spec, case, parameters)
        stopwatch, network = Stopwatch(), deepcopy(case.original).to(context.device).eval()
        copied = replace(case, parent=replace(case.parent, network=network))
        with seeded(seed), deterministic_algorithms():
            computed = self.compute(copied, parameters, context, seed=seed)
        model = computed.model.eval()
        unstruck = None if computed.struck else deepcopy(model) if case.partition.forget_classes else model
        if unstruck is not None:
            strike(model, case.partition)
        given = {entry.name: getattr(parameters, entry.name) for entry in fields(parameters)}
        context.report(1.0, self.spec.stage, "done")
        return MethodResult(
            model,
            unstruck,
            {**given, **computed.settings, "seed": seed} if computed.settings else {},
            stopwatch.spent(),
            computed.importance,
            computed.trained_on,
            computed.told,
            computed.importance_histogram,
        )


@torch.no_grad()
def strike(model: Classifier, partition: Partition) -> None:
    """Make the output rows of every class forgotten now or earlier zero, and strike them, in place.

    Rows of classes forgotten earlier become zero, too: a row replaced at random has the mean and the spread of what was
    there before.
    """
    classes = list(partition.forgotten_classes)
    model.head.weight[classes] = 0.0
    model.head.bias[classes] = 0.0
    model.mark_forgotten(classes)


def _check(spec: MethodSpec, case: Case, parameters: Budgets) -> None:
    """Raise NotApplicable with every reason why this method cannot run here."""
    original, partition = case.original, case.partition
    found = reasons_against(
        spec,
        target=partition.kind,
        mode=original.learning.mode,
        architecture=original.architecture,
        refusal="none",
    )
    kind = spec.settings or spec.parameters
    if type(parameters) is not kind:
        found.append(FieldError("/parameters", f"Parameters must be {kind.__name__}."))
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
