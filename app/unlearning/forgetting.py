"""The verbs: forget classes or samples by any method, and keep what is forgotten so through further training."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import torch

from app.errors import NotApplicable
from app.specs.learning import forgotten_tasks
from app.specs.methods.method import reasons_against
from app.specs.refusing import PushParameters, Refusing
from app.specs.reports import Measurements
from app.specs.request import ForgetSpec
from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.judging.effect import MOST_LEFT_BY_METHOD, effect_of
from app.unlearning.judging.gate import Criterion, judge_forgetting, judge_keeping, judge_method
from app.unlearning.judging.measurements import measure, measured_rows, weights_changed
from app.unlearning.judging.verifying.claims import AbsenceProof, Sought, weights_digest
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.synaptic_intelligence import Importance
from app.unlearning.learning.training import deterministic_algorithms
from app.unlearning.methods import METHODS
from app.unlearning.methods.method import MethodResult
from app.unlearning.partition import Partition
from app.unlearning.refusing.guard import Guard
from app.unlearning.refusing.guard_fitting import fit_guard_of, recalibrated
from app.unlearning.refusing.refusal import fit_refusal, is_convolutional, partly_forgotten_tasks, push_steps
from app.unlearning.stopwatch import Spent, Stopwatch


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
    """CPU seconds by stage, as `stopwatch.Spent` counts them."""
    forget_accuracy_before_refusal: float | None = None
    """Share of the forget training set that the method by itself, before any row is struck or null unit fitted, still
    gives its true class; None for `edit`, which strikes rows itself."""
    left_by_method: bool | None = None
    """Whether the method left more of the classes answered than may be left; None for samples and where there is no
    figure."""
    rehearsed_classes: list[int] = field(default_factory=list)
    """Classes forgotten earlier whose training rows were read to keep them refused."""
    importance_histogram: dict[str, list[int]] = field(default_factory=dict)
    """The histogram of `weight_choice.Choice`, by parameter name; empty but for scope `network`."""


@dataclass(frozen=True)
class Unlearned:
    """A model that forgot, and the evidence so far; `verifying.outcome.conclude` says what may be claimed of it."""

    model: Classifier
    report: ForgetReport
    sought: Sought
    """The claim that the method and the fitted refusal aim at, and what it rests on."""
    partition: Partition
    """What was forgotten, and what stays."""
    importance: Importance = field(default_factory=dict)
    """Importance by task of a static network. Tasks that are wholly forgotten now are left out: their importance would
    be a trace of them."""
    guard: Guard | None = None
    """The guard that refuses beside the model, for all classes that have one; None if there is none."""

    @property
    def proof(self) -> AbsenceProof | None:
        """The proof of absence; None where a weight, or the refusal, was fitted to rows that are not retained."""
        return self.sought.proof

    @property
    def verdict(self) -> Literal["passed", "failed"]:
        """Whether everything held that the gate demands."""
        return "passed" if all(criterion.passed for criterion in self.report.gate) else "failed"


@dataclass(frozen=True)
class _Effect:
    """What a method did by itself, before any row was struck."""

    gate: list[Criterion]
    still_answered: float
    """The share of `Effect.still_answered`, 0..1."""


def forget(parent: Parent, data: Dataset, spec: ForgetSpec, context: Context) -> Unlearned:
    """Forget what `spec` names, beside what the parent forgot earlier; the parent is not touched.

    1. The method makes its weights, and strikes the classes to forget.
    2. What it did by itself is judged.
    3. The refusal is fitted: the null unit, and the guard anew, since what it knows of retained rows is of its day.
    4. The gate judges the result as it would be served, against the parent.
    5. Before and after are measured.
    6. What may be sought to be claimed follows from all of these.

    `data` holds no row of samples that were forgotten earlier. Tasks all of whose classes are forgotten, by now or by
    earlier requests, are forgotten themselves. Same seed, threads, torch and kind of CPU: same bits. A result that does
    not hold is returned, too, with verdict `failed`. Raises NotApplicable, and whatever `case.partition_of` raises.
    """
    case = Case.of(parent, data, spec.target)
    _check(case, spec)
    done = spec.of_method.share_of_progress

    # 1. the method
    result = METHODS[spec.method].run(case, spec.parameters, context.part(0.0, done), seed=spec.seed)

    # 2. its effect
    absent = _absent(result, case.partition)
    effect = _effect(case, result, context, absent=absent)

    # 3. the refusal
    refusing, stopwatch = _refusing(case, spec), Stopwatch()
    with deterministic_algorithms():
        fit_refusal(result.model, case.data, case.partition, refusing, context.part(done, 0.7))
        guard = _fitted_guard(case, result.model, refusing, context.part(0.7, 0.8))
    spent = {spec.of_method.stage: result.spent, "refusal": stopwatch.spent()}

    # 4. the gate
    context.report(0.8, "measuring", "measuring before and after")
    gate = judge_forgetting(case, result.model, refusing, context, guard=guard)

    # 5. before and after
    report = _report(case, result.model, guard, context, gate=(effect.gate if effect else []) + gate, spent=spent)
    sought = _sought(case, spec, result, refusing, effect, absent=absent)
    report = replace(
        report,
        settings={**_settings(case, result.model, refusing, guard), **_settings_of_method(spec, result, refusing)},
        rehearsed_classes=_rehearsed(case, refusing),
        importance_histogram=result.importance_histogram,
        forget_accuracy_before_refusal=effect.still_answered if effect else None,
        left_by_method=None if sought.still_answered is None else sought.still_answered > MOST_LEFT_BY_METHOD,
    )

    # 6. the claim
    return Unlearned(result.model, report, sought, case.partition, result.importance, guard)


def _check(case: Case, spec: ForgetSpec) -> None:
    """Raise NotApplicable with everything that speaks against the method and the refusal here."""
    found = reasons_against(
        spec.of_method,
        target=case.partition.kind,
        mode=case.original.learning.mode,
        architecture=case.original.architecture,
        refusal=spec.refusal,
    )
    if found:
        raise NotApplicable(" ".join(fault.detail for fault in found), errors=found)


def _absent(result: MethodResult, partition: Partition) -> bool:
    """Whether no weight was ever fitted to what is forgotten."""
    if result.trained_on is None:
        return False
    digest = weights_digest(result.model)
    return AbsenceProof(digest, result.trained_on).holds(digest, partition)


def _effect(case: Case, result: MethodResult, context: Context, *, absent: bool) -> _Effect | None:
    """The effect of the method by itself; None for a method that strikes rows itself: there is no model before that."""
    if result.unstruck is None:
        return None
    found = effect_of(case, result.unstruck, context.device)
    judged = judge_method(case, result.unstruck, found, absent=absent)
    return _Effect(judged, found.still_answered)


def _refusing(case: Case, spec: ForgetSpec) -> Refusing:
    """How the null unit is fitted and what that may cost.

    Samples have no refusal of their own: classes forgotten earlier are refused again as the parent says. What an earlier
    `push` collapsed stays collapsed.
    """
    asked, keeping = spec.refusing, case.parent.keeping
    if keeping is None:
        return asked
    if not case.partition.forget_classes:
        return replace(keeping, utility_budget=asked.utility_budget, seed=asked.seed)
    return replace(asked, collapse_weight=max(asked.collapse_weight, keeping.collapse_weight))


def _fitted_guard(case: Case, model: Classifier, refusing: Refusing, context: Context) -> Guard | None:
    """One guard for the classes of the parent's guard and, if one is asked for, of the partition; None for no class."""
    earlier = case.parent.guard
    asked_now = case.partition.forget_classes if refusing.refusal == "guard" else ()
    classes = tuple(sorted({*asked_now, *(earlier.guarded_classes if earlier else ())}))
    if not classes:
        return None
    parameters = earlier.recipe if earlier and not asked_now else refusing.guard
    return fit_guard_of(model, case.data, classes, parameters, context, seed=refusing.seed)


def _rehearsed(case: Case, refusing: Refusing) -> list[int]:
    """The classes forgotten earlier whose training rows were read once more."""
    if refusing.refusal == "push":
        return list(case.partition.earlier_classes)
    return list(case.parent.guard.guarded_classes) if case.parent.guard else []


def _sought(
    case: Case, spec: ForgetSpec, result: MethodResult, refusing: Refusing, effect: _Effect | None, *, absent: bool
) -> Sought:
    """What is sought to be claimed. Pushing trains on rows that are forgotten, so a pushed model has no proof."""
    proof = None
    if result.trained_on is not None and refusing.refusal != "push":
        proof = AbsenceProof(weights_digest(result.model), result.trained_on)
    return Sought(
        spec.of_method.claim,
        refusing.refusal,
        refusing.utility_budget,
        proof,
        absent=absent,
        parent_claim=case.parent.claim,
        still_answered=effect.still_answered if effect and case.partition.forget_classes else None,
    )


def keep_forgotten(trained: Classifier, parent: Parent, data: Dataset, context: Context) -> Unlearned:
    """Forget in `trained`, a model trained further or anew, what `parent` forgot; neither is touched.

    The output rows of the forgotten classes are those of the parent again, and the refusal is fitted as `parent.keeping`
    says; with refusal `none` nothing is fitted and the null unit stays as in the parent. The parent's guard is copied,
    and calibrated to what the trained model answers.
    """
    refusing = parent.keeping
    assert refusing is not None, "a parent that forgot classes says how to keep them so"
    partition = Partition.of(data, parent.network.forgotten_classes, learned=trained.learned_classes)
    case = Case(parent, data, partition)
    model = deepcopy(trained).to(context.device).eval()
    stopwatch = Stopwatch()
    with deterministic_algorithms():
        _strike_again(model, parent.network)
        struck = _refusing_nothing(model)
        fit_refusal(model, data, partition, refusing, context.part(0.0, 0.8))
        guard = None if parent.guard is None else recalibrated(parent.guard, model, data, device=context.device)
    spent = {"refusal": stopwatch.spent()}
    context.report(0.8, "measuring", "measuring before and after")
    gate = judge_keeping(case, model, refusing, context, trained=struck, guard=guard)
    report = replace(
        _report(case, model, guard, context, gate=gate, spent=spent),
        settings=_settings(case, model, refusing, guard),
        rehearsed_classes=list(partition.forgotten_classes) if refusing.refusal == "push" else [],
    )
    sought = Sought("edited", refusing.refusal, refusing.utility_budget)
    return Unlearned(model, report, sought, partition, guard=guard)


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
    """A copy whose null unit never wins: the parent's null unit, on other logits, may refuse everything."""
    copy = deepcopy(model)
    copy.null_bias.fill_(-torch.inf)
    if copy.learning.tasks:
        copy.task_null_biases.fill_(-torch.inf)
    return copy


def _report(
    case: Case,
    model: Classifier,
    guard: Guard | None,
    context: Context,
    *,
    gate: list[Criterion],
    spent: dict[str, Spent],
) -> ForgetReport:
    """The report with the measurements of the parent and of the result, each as served."""
    stopwatch, parent = Stopwatch(), case.parent
    before = measure(parent.network, case.data, case.partition, context.device, guard=parent.guard)
    after = measure(model, case.data, case.partition, context.device, guard=guard)
    context.report(1.0, "measuring", "measured before and after")
    method = Spent(sum(each.wall for each in spent.values()), sum(each.cpu for each in spent.values()))
    by_stage = {**spent, "method": method, "measuring": stopwatch.spent()}
    return ForgetReport(
        before=before,
        after=after,
        weights_changed=weights_changed(parent.network, model),
        gate=gate,
        settings={},
        seconds={stage: each.wall for stage, each in by_stage.items()},
        cpu_seconds={stage: each.cpu for stage, each in by_stage.items()},
    )


def _settings(case: Case, model: Classifier, refusing: Refusing, guard: Guard | None) -> dict[str, Any]:
    """The settings of a report: how the refusal was fitted, and on which rows was measured."""
    train = case.partition.train
    return {
        **_settings_of_tasks(model),
        "classes": list(case.partition.forget_classes),
        "refusal": refusing.refusal,
        "seed": refusing.seed,
        "collapse_weight": refusing.collapse_weight,
        "pushed": list(case.parent.pushed),
        "parameters": _settings_of_push(refusing),
        "guard": _settings_of_guard(guard),
        "push_steps": push_steps(model, refusing) if refusing.refusal == "push" else 0,
        "refusal_budget": 0.0
        if refusing.refusal == "none"
        else refusing.budget(model.learning.mode, convolutional=is_convolutional(model)),
        "null_bias": float(model.null_bias),
        "measured_rows": {"forget": len(measured_rows(train.forget)), "retain": len(measured_rows(train.retain))},
    }


def _settings_of_push(refusing: Refusing) -> dict[str, Any]:
    return {entry.name: getattr(refusing, entry.name) for entry in fields(PushParameters)}


def _settings_of_method(spec: ForgetSpec, result: MethodResult, refusing: Refusing) -> dict[str, Any]:
    """The settings of a report that the method was told or chose."""
    parameters = asdict(spec.parameters)
    beside: dict[str, Any] = {name: parameters.pop(name) for name in ("strategy", "scope") if name in parameters}
    if "collapse_weight" in parameters:
        parameters["collapse_weight"] = refusing.collapse_weight
    chosen = {"chosen": result.settings} if result.settings else {}
    return {"method": spec.method, "parameters": parameters, **chosen, **beside, **result.told}


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
