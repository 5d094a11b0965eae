"""The verbs: forget classes or samples by any method, and keep what is forgotten so through further training."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from app.errors import NotApplicable
from app.method_specs import Claim, Unlearning, reasons_against_edit
from app.reports import Measurements
from app.specs import Edit, forgotten_tasks
from app.unlearning.architectures import Classifier
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.editing import edit_weights
from app.unlearning.effect import MOST_LEFT_BY_METHOD, effect_of
from app.unlearning.gate import Criterion, judge_forgetting, judge_keeping, judge_method
from app.unlearning.guard import Guard
from app.unlearning.guard_fitting import fit_guard_of, recalibrated
from app.unlearning.methods import METHODS
from app.unlearning.methods.method import MethodResult, target_of
from app.unlearning.partition import Partition
from app.unlearning.refusal import fit_refusal, partly_forgotten_tasks, push_steps
from app.unlearning.sample_partition import without_forgotten
from app.unlearning.stopwatch import Spent, Stopwatch
from app.unlearning.synaptic_intelligence import Importance
from app.unlearning.training import deterministic_algorithms
from app.unlearning.verification import measure, measured_rows, weights_changed
from app.unlearning.verifying.claims import AbsenceProof, Sought, weights_digest


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
    cpu_seconds: dict[str, float]
    """The same as `stopwatch.Spent` has them."""
    forget_accuracy_before_refusal: float | None = None
    """Share of the forget training set that the method by itself, before any row is struck or null unit fitted, still gives
    its true class; None of `edit`, which strikes."""
    left_by_method: bool | None = None
    """Of classes: whether that is more than may be left; None where there is no figure."""
    rehearsed_classes: list[int] = field(default_factory=list)
    """Classes forgotten earlier whose training rows were read to keep them refused."""
    importance_histogram: dict[str, list[int]] = field(default_factory=dict)
    """Of scope `network`, by parameter name: see `weight_choice.Choice`."""


@dataclass(frozen=True)
class Unlearned:
    """A model that forgot, and the evidence so far; what may be claimed of it, `verifying.outcome.conclude` says."""

    model: Classifier
    report: ForgetReport
    sought: Sought
    """What the method and the refusal that was fitted would have one claim."""
    importance: Importance = field(default_factory=dict)
    """Of tasks in a static network, without those that are wholly forgotten now; what it holds would be a trace of them."""
    guard: Guard | None = None
    """What refuses beside the model, for all classes that have a guard."""

    @property
    def proof(self) -> AbsenceProof | None:
        """Of methods whose weights were fitted to retained rows alone, unless the refusal was learned from others."""
        return self.sought.proof

    @property
    def verdict(self) -> Literal["passed", "failed"]:
        """Whether everything held that the gate demands."""
        return "passed" if all(criterion.passed for criterion in self.report.gate) else "failed"


@dataclass(frozen=True)
class _Made:
    """What a method made, before the refusal is fitted."""

    model: Classifier
    claim: Claim
    settings: dict[str, Any]
    spent: dict[str, Spent]
    importance: Importance
    effect: list[Criterion] = field(default_factory=list)
    """What the method by itself must hold."""
    trained_on: Tensor | None = None
    """As `MethodResult.trained_on`."""
    still_answered: float | None = None
    """As `Effect.still_answered`; None of `edit`."""
    absent: bool = False
    """As `Sought.absent`."""
    importance_histogram: dict[str, list[int]] = field(default_factory=dict)


def forget(
    original: Classifier,
    data: Dataset,
    partition: Partition,
    asked: Edit | Unlearning,
    context: Context,
    *,
    importance: Importance | None = None,
    guard: Guard | None = None,
    keeping: Edit | None = None,
    parent_claim: Claim | None = None,
) -> Unlearned:
    """Forget what `partition` says, beside what `original` forgot earlier; `original` is not touched.

    Tasks all of whose classes are forgotten, by now or by earlier requests, are forgotten themselves. `importance` is
    that of the tasks of a static network, which the scope `network` needs. `guard` is that of the original, and
    is fitted anew: what it knows of retained rows is of its day. `keeping`
    says how classes forgotten earlier are refused again where samples are forgotten, which have no refusal of their own;
    `parent_claim` what the version of the original claims of them.
    Same seed, threads, torch and kind of CPU: same bits. A result that does not hold is returned, too, with verdict
    `failed`. Raises NotApplicable.
    """
    data = without_forgotten(data, partition)
    if isinstance(asked, Edit):
        made = _edited(original, data, partition, asked, context, importance=importance or {})
    else:
        made = _unlearned(original, data, partition, asked, context.part(0.0, 0.6))
    refusing, stopwatch = _refusing(asked, partition, keeping), Stopwatch()
    with deterministic_algorithms():
        fit_refusal(made.model, data, partition, refusing, context.part(0.1 if isinstance(asked, Edit) else 0.6, 0.7))
        refitted = _fitted_guard(
            made.model, data, partition, refusing=refusing, earlier=guard, context=context.part(0.7, 0.8)
        )
    spent = {**made.spent, "refusal": stopwatch.spent()}
    context.report(0.8, "measuring", "measuring before and after")
    gate = judge_forgetting(
        original,
        made.model,
        data,
        partition,
        edit=refusing,
        context=context,
        original_guard=guard,
        guard=refitted,
    )
    rehearsed = partition.earlier_classes if refusing.refusal == "push" else guard.guarded_classes if guard else ()
    report = _report(
        original,
        made.model,
        data,
        partition,
        gate=made.effect + gate,
        settings={**_settings(refusing, made.model, partition, refitted), **made.settings},
        spent=spent,
        rehearsed=rehearsed,
        context=context,
        guards=(guard, refitted),
    )
    sought = _sought(made, refusing, partition, parent_claim)
    left = None if sought.still_answered is None else sought.still_answered > MOST_LEFT_BY_METHOD
    report = replace(
        report,
        importance_histogram=made.importance_histogram,
        forget_accuracy_before_refusal=made.still_answered,
        left_by_method=left,
    )
    return Unlearned(made.model, report, sought, made.importance, refitted)


def forget_classes(
    original: Classifier, data: Dataset, edit: Edit, context: Context, importance: Importance | None = None
) -> Unlearned:
    """Forget `edit.classes` by `edit`; see `forget`. Raises ClassNotFound, AlreadyForgotten, NothingLeft, NotApplicable."""
    partition = Partition.of(data, edit.classes, original.forgotten_classes, original.learned_classes)
    return forget(original, data, partition, edit, context, importance=importance)


def _edited(
    original: Classifier, data: Dataset, partition: Partition, edit: Edit, context: Context, *, importance: Importance
) -> _Made:
    found = reasons_against_edit(target_of(partition), original.learning.mode, edit.refusal)
    if found:
        raise NotApplicable(" ".join(fault.detail for fault in found), errors=found)
    model = deepcopy(original).to(context.device).eval()
    stopwatch = Stopwatch()
    with deterministic_algorithms():
        context.report(0.0, "editing", "choosing and replacing weights")
        done = edit_weights(model, data, partition, edit, context, importance=importance)
        model.mark_forgotten(edit.classes)
    gone = forgotten_tasks(model.learning.tasks, partition.forgotten_classes)
    return _Made(
        model,
        claim="edited",
        settings={"method": "edit", "replaced": done.replaced},
        spent={"editing": stopwatch.spent()},
        importance={task: held for task, held in importance.items() if task not in gone},
        importance_histogram=done.importance_histogram,
    )


def _unlearned(original: Classifier, data: Dataset, partition: Partition, asked: Unlearning, context: Context) -> _Made:
    method = METHODS[asked.method]
    result = method.run(original, data, partition, asked.parameters, context, seed=asked.seed)
    effect = effect_of(original, result.unstruck, data, partition, context.device)
    absent = _absent(result, partition)
    judged = judge_method(original, result.unstruck, partition, effect, absent=absent)
    return _Made(
        result.model,
        claim=method.spec.claim,
        settings={"method": asked.method, "parameters": asdict(asked.parameters), "chosen": result.settings},
        spent={"unlearning": Spent(result.seconds, result.cpu_seconds)},
        importance=result.importance,
        effect=judged,
        trained_on=result.trained_on,
        still_answered=effect.still_answered,
        absent=absent,
    )


def _absent(result: MethodResult, partition: Partition) -> bool:
    """Whether no weight was ever fitted to what is forgotten."""
    if result.trained_on is None:
        return False
    digest = weights_digest(result.model)
    return AbsenceProof(digest, result.trained_on).holds(digest, partition)


def _refusing(asked: Edit | Unlearning, partition: Partition, keeping: Edit | None) -> Edit:
    """How the null unit is fitted and what that may cost, as an edit."""
    if isinstance(asked, Edit):
        return asked
    budgets = asked.parameters
    if not partition.forget_classes and keeping is not None:
        kept = replace(keeping.parameters, utility_budget=budgets.utility_budget)
        return replace(keeping, parameters=kept, seed=asked.seed, pushed=asked.pushed)
    return Edit(
        partition.forget_classes,
        refusal=asked.refusal,
        parameters=budgets.of_refusal(),
        seed=asked.seed,
        pushed=asked.pushed,
        guard=asked.guard,
    )


def _fitted_guard(
    model: Classifier, data: Dataset, partition: Partition, *, refusing: Edit, earlier: Guard | None, context: Context
) -> Guard | None:
    """One guard for the classes of the earlier one and, where that was asked for, of the partition; None for none."""
    asked_now = partition.forget_classes if refusing.refusal == "guard" else ()
    classes = tuple(sorted({*asked_now, *(earlier.guarded_classes if earlier else ())}))
    if not classes:
        return None
    parameters = earlier.recipe if earlier and not asked_now else refusing.guard
    return fit_guard_of(model, data, classes, parameters, context, seed=refusing.seed)


def _sought(made: _Made, refusing: Edit, partition: Partition, parent_claim: Claim | None) -> Sought:
    """Pushing trains on rows that are forgotten, so nothing is proven of what it made."""
    proof = None
    if made.trained_on is not None and refusing.refusal != "push":
        proof = AbsenceProof(weights_digest(made.model), made.trained_on)
    return Sought(
        made.claim,
        refusing.refusal,
        refusing.parameters.utility_budget,
        proof,
        absent=made.absent,
        parent_claim=parent_claim,
        still_answered=made.still_answered if partition.forget_classes else None,
    )


def keep_forgotten(
    trained: Classifier,
    parent: Classifier,
    data: Dataset,
    edit: Edit,
    context: Context,
    *,
    guard: Guard | None = None,
) -> Unlearned:
    """What `parent` forgot, forgotten in `trained` too, which came of training further or anew; neither is touched.

    The output rows of the forgotten classes are those of the parent again, and the refusal is fitted as `edit` says,
    which carries the settings to keep them by (`edit.classes` is not read); with refusal `none` nothing is
    fitted and the null unit stays as in the parent. `guard` is the parent's: it is copied, and calibrated to what the
    trained model answers.
    """
    partition = Partition.of(data, parent.forgotten_classes, learned=trained.learned_classes)
    model = deepcopy(trained).to(context.device).eval()
    stopwatch = Stopwatch()
    with deterministic_algorithms():
        _strike_again(model, parent)
        struck = _refusing_nothing(model)
        fit_refusal(model, data, partition, edit, context.part(0.0, 0.8))
        kept_guard = None if guard is None else recalibrated(guard, model, data, device=context.device)
    spent = {"refusal": stopwatch.spent()}
    context.report(0.8, "measuring", "measuring before and after")
    gate = judge_keeping(
        struck,
        model,
        parent,
        data,
        partition,
        edit=edit,
        context=context,
        parent_guard=guard,
        guard=kept_guard,
    )
    rehearsed = partition.forgotten_classes if edit.refusal == "push" else ()
    report = _report(
        parent,
        model,
        data,
        partition,
        gate=gate,
        settings=_settings(edit, model, partition, kept_guard),
        spent=spent,
        rehearsed=rehearsed,
        context=context,
        guards=(guard, kept_guard),
    )
    return Unlearned(model, report, Sought("edited", edit.refusal, edit.parameters.utility_budget), guard=kept_guard)


@torch.no_grad()
def _strike_again(model: Classifier, parent: Classifier) -> None:
    """Where the network grew, forgotten classes do not read the further features: their zeros stay."""
    struck, num_features = parent.forgotten, parent.head.in_features
    model.forgotten |= struck
    model.null_bias.copy_(parent.null_bias)
    if parent.learning.tasks:
        model.task_null_biases[: len(parent.learning.tasks)] = parent.task_null_biases
    model.head.weight[struck, :num_features] = parent.head.weight[struck]
    model.head.bias[struck] = parent.head.bias[struck]


def _refusing_nothing(model: Classifier) -> Classifier:
    """A copy whose null unit never wins: that of a parent, on other logits, may refuse everything."""
    copy = deepcopy(model)
    copy.null_bias.fill_(-torch.inf)
    if copy.learning.tasks:
        copy.task_null_biases.fill_(-torch.inf)
    return copy


def _report(
    before: Classifier,
    after: Classifier,
    data: Dataset,
    partition: Partition,
    *,
    gate: list[Criterion],
    settings: dict[str, Any],
    spent: dict[str, Spent],
    rehearsed: tuple[int, ...],
    context: Context,
    guards: tuple[Guard | None, Guard | None],
) -> ForgetReport:
    """`guards` are those of both models, in the same order."""
    stopwatch = Stopwatch()
    measured_before, measured_after = (
        measure(model, data, partition, context.device, guard=guard)
        for model, guard in zip((before, after), guards, strict=True)
    )
    context.report(1.0, "measuring", "measured before and after")
    method = Spent(sum(each.wall for each in spent.values()), sum(each.cpu for each in spent.values()))
    by_stage = {**spent, "method": method, "measuring": stopwatch.spent()}
    return ForgetReport(
        before=measured_before,
        after=measured_after,
        weights_changed=weights_changed(before, after),
        gate=gate,
        settings=settings,
        seconds={stage: each.wall for stage, each in by_stage.items()},
        cpu_seconds={stage: each.cpu for stage, each in by_stage.items()},
        rehearsed_classes=list(rehearsed),
    )


def _settings(edit: Edit, model: Classifier, partition: Partition, guard: Guard | None) -> dict[str, Any]:
    train = partition.train
    return {
        **asdict(edit),
        **_settings_of_tasks(model),
        "guard": _settings_of_guard(guard),
        "classes": list(partition.forget_classes),
        "push_steps": push_steps(model, edit) if edit.refusal == "push" else 0,
        "refusal_budget": 0.0 if edit.refusal == "none" else edit.refusal_budget(model.learning.mode),
        "null_bias": float(model.null_bias),
        "measured_rows": {"forget": len(measured_rows(train.forget)), "retain": len(measured_rows(train.retain))},
    }


def _settings_of_guard(guard: Guard | None) -> dict[str, Any] | None:
    if guard is None:
        return None
    return {**asdict(guard.recipe), "classes": list(guard.guarded_classes), "threshold": float(guard.threshold)}


def _settings_of_tasks(model: Classifier) -> dict[str, Any]:
    if not model.learning.tasks:
        return {}
    partly = partly_forgotten_tasks(model)
    return {
        "forgotten_tasks": forgotten_tasks(model.learning.tasks, model.forgotten_classes),
        "task_null_biases": {str(task): float(model.task_null_biases[task]) for task in partly},
    }
