"""The verbs: forget classes, and keep them forgotten through further training."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from app.specs import Edit
from app.unlearning.architectures import Classifier
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.editing import edit_weights
from app.unlearning.gate import Criterion, judge_forgetting, judge_keeping
from app.unlearning.partition import Partition
from app.unlearning.refusal import fit_refusal, push_steps
from app.unlearning.training import deterministic_algorithms
from app.unlearning.verification import Measurements, measure, measured_rows, weights_changed


@dataclass(frozen=True)
class ForgetReport:
    """What was done and what came of it, measured on the very weights of the result."""

    before: Measurements
    after: Measurements
    weights_changed: dict[str, int]
    """Number of changed values by parameter name."""
    gate: list[Criterion]
    settings: dict[str, Any]
    """What was chosen or told, thresholds included; JSON values."""
    seconds: dict[str, float]
    """Wall seconds by stage; `method` is the unlearning alone."""
    rehearsed_classes: list[int] = field(default_factory=list)
    """Classes forgotten earlier whose training rows were read to keep them refused."""


@dataclass(frozen=True)
class Unlearned:
    """A model that forgot, and the evidence."""

    model: Classifier
    report: ForgetReport

    @property
    def verdict(self) -> Literal["passed", "failed"]:
        """Whether everything held that the gate demands."""
        return "passed" if all(criterion.passed for criterion in self.report.gate) else "failed"

    @property
    def claim(self) -> Literal["edited"]:
        """What may be said of replaced or pushed weights at most, whatever the figures."""
        return "edited"


def forget_classes(original: Classifier, data: Dataset, edit: Edit, context: Context) -> Unlearned:
    """Forget `edit.classes`, beside what `original` forgot earlier; `original` is not touched.

    Same seed, threads, torch and kind of CPU: same bits. A result that does not hold is returned, too, with verdict
    `failed`. Raises ClassNotFound, AlreadyForgotten, NothingLeft and NotApplicable.
    """
    partition = Partition.of(data, edit.classes, earlier=original.forgotten_classes)
    model = deepcopy(original).to(context.device).eval()
    start = time.perf_counter()
    with deterministic_algorithms():
        context.report(0.0, "editing", "choosing and replacing weights")
        replaced = edit_weights(model, data, partition, edit, context)
        model.mark_forgotten(edit.classes)
        edited = time.perf_counter()
        fit_refusal(model, data, partition, edit, context.part(0.1, 0.8))
    seconds = {"editing": edited - start, "refusal": time.perf_counter() - edited}
    context.report(0.8, "measuring", "measuring before and after")
    gate = judge_forgetting(original, model, data, partition, edit=edit, context=context)
    settings = {**_settings(edit, model, partition), "replaced": replaced}
    rehearsed = partition.earlier_classes if edit.refusal == "push" else ()
    report = _report(
        original,
        model,
        data,
        partition,
        gate=gate,
        settings=settings,
        seconds=seconds,
        rehearsed=rehearsed,
        context=context,
    )
    return Unlearned(model, report)


def keep_forgotten(trained: Classifier, parent: Classifier, data: Dataset, edit: Edit, context: Context) -> Unlearned:
    """What `parent` forgot, forgotten in `trained` too, which came of training further or anew; neither is touched.

    The output rows of the forgotten classes are those of the parent again, and the refusal is fitted as `edit` says,
    which carries the settings to keep them by (`edit.classes` is not read); with refusal `none` nothing is
    fitted and the null unit stays as in the parent.
    """
    partition = Partition.of(data, parent.forgotten_classes)
    model = deepcopy(trained).to(context.device).eval()
    start = time.perf_counter()
    with deterministic_algorithms():
        _strike_again(model, parent)
        struck = deepcopy(model)
        fit_refusal(model, data, partition, edit, context.part(0.0, 0.8))
    seconds = {"refusal": time.perf_counter() - start}
    context.report(0.8, "measuring", "measuring before and after")
    gate = judge_keeping(struck, model, parent, data, partition, edit=edit, context=context)
    rehearsed = partition.forgotten_classes if edit.refusal == "push" else ()
    report = _report(
        parent,
        model,
        data,
        partition,
        gate=gate,
        settings=_settings(edit, model, partition),
        seconds=seconds,
        rehearsed=rehearsed,
        context=context,
    )
    return Unlearned(model, report)


@torch.no_grad()
def _strike_again(model: Classifier, parent: Classifier) -> None:
    struck = parent.forgotten
    model.forgotten |= struck
    model.null_bias.copy_(parent.null_bias)
    model.head.weight[struck] = parent.head.weight[struck]
    model.head.bias[struck] = parent.head.bias[struck]


def _report(
    before: Classifier,
    after: Classifier,
    data: Dataset,
    partition: Partition,
    *,
    gate: list[Criterion],
    settings: dict[str, Any],
    seconds: dict[str, float],
    rehearsed: tuple[int, ...],
    context: Context,
) -> ForgetReport:
    start = time.perf_counter()
    measured_before, measured_after = (measure(model, data, partition, context.device) for model in (before, after))
    context.report(1.0, "measuring", "measured before and after")
    return ForgetReport(
        before=measured_before,
        after=measured_after,
        weights_changed=weights_changed(before, after),
        gate=gate,
        settings=settings,
        seconds={**seconds, "method": sum(seconds.values()), "measuring": time.perf_counter() - start},
        rehearsed_classes=list(rehearsed),
    )


def _settings(edit: Edit, model: Classifier, partition: Partition) -> dict[str, Any]:
    train = partition.train
    return {
        **asdict(edit),
        "classes": list(partition.forget_classes),
        "push_steps": push_steps(model, edit) if edit.refusal == "push" else 0,
        "null_bias": float(model.null_bias),
        "measured_rows": {"forget": len(measured_rows(train.forget)), "retain": len(measured_rows(train.retain))},
    }
