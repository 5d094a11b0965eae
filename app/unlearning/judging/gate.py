"""The effect gate: what must hold before a result may be called forgotten; judged on no test row.

What stays and what is refused is judged on the calibration split, and what a method did also on the forget set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor, nn

from app.specs.refusing import Refusal, Refusing
from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.judging.effect import EFFECT_FLOOR, MOST_LEFT_BY_METHOD, Effect, Shift
from app.unlearning.judging.measurements import Answers, answers, weights_changed
from app.unlearning.learning.architectures import Classifier
from app.unlearning.methods.method import strike
from app.unlearning.partition import Partition
from app.unlearning.refusing.guard import Guard

REFUSAL_FLOOR: dict[Refusal, float] = {"none": 0.0, "calibrate": 0.0, "push": 0.9, "guard": 0.9}
"""The refusal rate each class must reach at least: `push` and `guard` are made to refuse, the others only never to answer."""

_ONE_SIDED_95 = 1.645  # quantile of the normal distribution
_ONE_IN_A_THOUSAND = 3.09  # quantile of the normal distribution: an honest method, asked often, must not fail by chance
_ROW_SHARE = 0.99  # random draws may hit the old float32 by chance, one in millions


@dataclass(frozen=True)
class Criterion:
    """One thing that must hold, and whether it did."""

    name: str
    detail: str
    value: float
    threshold: float
    passed: bool


def judge_forgetting(
    case: Case, unlearned: Classifier, refusing: Refusing, context: Context, *, guard: Guard | None = None
) -> list[Criterion]:
    """The criteria of a forget request: `unlearned` is judged against the version it was made from, each as served.

    `refusing` says how refusing was fitted, and the budgets, whatever the method; `guard` is the one behind which
    `unlearned` is served. For models with tasks, accuracies are measured with the task named and refusals without,
    which is harder. For samples no movement is demanded: a model retrained without them answers nearly all of them
    alike.
    """
    original, data, partition = case.original, case.data, case.partition
    rows = _calibration_rows(data, partition)
    before = _answers(original, data, rows, context, case.parent.guard)
    after = _answers(unlearned, data, rows, context, guard)
    return [
        _weights_changed(original, unlearned),
        _retained_accuracy(before, after, _retained_groups(unlearned, partition), refusing.utility_budget),
        *(_of_classes(case, unlearned, before, after) if partition.forget_classes else ()),
        *_refused_enough(after, partition.forget_classes, refusing.refusal),
        *_still_refused(before, after, case.parent, refusing.refusal_drift),
    ]


def judge_method(case: Case, unstruck: Classifier, effect: Effect, *, absent: bool) -> list[Criterion]:
    """Judge whether a method other than `edit` did by itself something that the answers show, and not the contrary.

    Zeroing output rows, which is done for every method, does not count: `unstruck` is what it made before. If the
    weights were never fitted to the forget set (`absent`), the answers may move in any direction.
    """
    found = [_method_changed_weights(case, unstruck), _effect(effect, absent=absent)]
    found.append(
        _no_rise(
            "direction",
            "The method made the forget set no more certain than rows of the same classes that nothing was fitted to",
            effect.direction,
        )
    )
    if case.partition.forget_classes and effect.still_answered > MOST_LEFT_BY_METHOD:
        found.append(
            _no_rise("class_direction", "The method made the classes to forget no more certain", effect.forget_shift)
        )
    return found


def _method_changed_weights(case: Case, unstruck: Classifier) -> Criterion:
    struck = deepcopy(case.original), deepcopy(unstruck)
    for model in struck:
        strike(model, case.partition)
    changed = sum(weights_changed(*struck).values())
    return _at_least("method_changed_weights", "A weight differs beside the output rows that are struck.", changed, 1)


def _effect(effect: Effect, *, absent: bool) -> Criterion:
    where = "the forget set and unseen rows of the same classes" if absent else "the forget set"
    detail = f"The confidence in the true label moved, mean absolute change on {where}, in nats."
    return _at_least("effect", detail, effect.change_anywhere if absent else effect.change, EFFECT_FLOOR)


def _no_rise(name: str, what: str, shift: Shift) -> Criterion:
    detail = f"{what}: mean change of the confidence in the true label, in nats, at most what chance explains."
    return _at_most(name, detail, shift.value, _ONE_IN_A_THOUSAND * shift.error)


def judge_keeping(
    case: Case,
    kept: Classifier,
    refusing: Refusing,
    context: Context,
    *,
    trained: Classifier,
    guard: Guard | None = None,
) -> list[Criterion]:
    """The criteria of further training: forgotten classes stay struck and refused as in the parent, behind its guard.

    The case is what the parent forgot. Retained accuracy is compared with `trained`, the model as it came from
    training, forgotten classes struck and nothing refused: the loss that counts is that of refusing, since the person
    who asked for the training wanted what training itself does.
    """
    parent, data, partition = case.parent, case.data, case.partition
    rows = data.calibration_rows
    parent_found = _answers(parent.network, data, rows, context, parent.guard)
    trained_found = _answers(trained, data, rows, context)
    found = _answers(kept, data, rows, context, guard)
    return [
        _rows_kept(parent.network, kept, partition.forget_classes),
        _retained_accuracy(trained_found, found, _retained_groups(kept, partition), refusing.utility_budget),
        *_still_refused(parent_found, found, parent, refusing.refusal_drift),
    ]


def _of_classes(case: Case, unlearned: Classifier, before: Answers, after: Answers) -> list[Criterion]:
    """What must hold of the classes to forget, whatever the refusal."""
    classes = case.partition.forget_classes
    forget_before, forget_after = (found.of_classes(classes) for found in (before, after))
    return [
        _rows_replaced(case.original, unlearned, classes),
        _below(
            "forget_accuracy",
            "The classes to forget are given their label less often than before, or never.",
            forget_after.accuracy_in_task(),
            forget_before.accuracy_in_task(),
        ),
    ]


def _calibration_rows(data: Dataset, partition: Partition) -> Tensor:
    """The calibration rows to judge by, int64 [N]; samples to forget are not among them."""
    rows = data.calibration_rows
    return rows if partition.forget_classes else rows[~torch.isin(rows, partition.calibration.forget)]


def _answers(model: Classifier, data: Dataset, rows: Tensor, context: Context, guard: Guard | None = None) -> Answers:
    return answers(model, data.train_images, data.train_labels, rows, context.device, guard=guard)


def _weights_changed(original: Classifier, unlearned: Classifier) -> Criterion:
    return _at_least(
        "weights_changed", "At least one weight differs.", sum(weights_changed(original, unlearned).values()), 1
    )


def _rows_replaced(original: Classifier, unlearned: Classifier, classes: tuple[int, ...]) -> Criterion:
    """The criterion that output rows were replaced.

    Zeros of the original look like zeros put in their place, so they do not count.
    """
    shares = []
    for old, new in zip(_output_rows(original, classes), _output_rows(unlearned, classes), strict=True):
        trained = old != 0
        shares.append(float((old != new)[trained].double().mean()) if trained.any() else 1.0)
    detail = (
        "Of each class to forget, the trained values of the output row and its bias are replaced; the smallest share."
    )
    return _at_least("output_rows_replaced", detail, min(shares), _ROW_SHARE)


def _rows_kept(parent: Classifier, kept: Classifier, classes: tuple[int, ...]) -> Criterion:
    rows = zip(_output_rows(parent, classes), _output_rows(kept, classes, parent.head.in_features), strict=True)
    shares = [float((old == new).double().mean()) for old, new in rows]
    detail = "The output rows of forgotten classes hold what replaced them; the smallest share of their values."
    return _at_least("output_rows_struck", detail, min(shares), 1.0)


def _output_rows(model: Classifier, classes: tuple[int, ...], num_features: int | None = None) -> list[Tensor]:
    """For each class, its weights and its bias, float32 [D + 1]; `num_features` bounds D to the first features."""
    rows = nn.functional.pad(model.head.weight.detach()[:, :num_features], (0, 1))
    rows[:, -1] = model.head.bias.detach()
    return [rows[number] for number in classes]


def _retained_groups(model: Classifier, partition: Partition) -> list[list[int]]:
    """The retained classes in groups: one group per task that has any, or one group of all where there are no tasks."""
    tasks = model.learning.tasks or [partition.retain_classes]
    groups = [[number for number in classes if number in partition.retain_classes] for classes in tasks]
    return [classes for classes in groups if classes]


def _retained_accuracy(before: Answers, after: Answers, groups: list[list[int]], budget: float) -> Criterion:
    """The criterion of retained accuracy.

    A few hundred calibration inputs tell an accuracy to about a point, so the loss is judged beyond what chance
    explains.
    """
    was, now = (
        _mean([found.of_classes(classes).accuracy_in_task() for classes in groups]) for found in (before, after)
    )
    what = "Accuracy on retained classes" if len(groups) == 1 else "The mean over tasks of accuracy on retained classes"
    detail = f"{what} is at most {budget} (beyond chance) below the {was:.4f} before."
    chance = _ONE_SIDED_95 * _error_of_loss(before, after, groups)
    return _at_least("retained_accuracy", detail, now, was - budget - chance)


def _error_of_loss(before: Answers, after: Answers, groups: list[list[int]]) -> float:
    """Standard error of the mean over groups of the difference of accuracies on the same inputs."""
    errors = [
        paired_error(*(found.in_task == found.labels for found in (was, now)))
        for was, now in ((before.of_classes(classes), after.of_classes(classes)) for classes in groups)
        if len(was.labels)
    ]
    return math.sqrt(sum(error**2 for error in errors)) / len(errors)


def _mean(accuracies: Sequence[float | None]) -> float:
    """Mean of the accuracies that are not None; at least one is present."""
    return fmean(accuracy for accuracy in accuracies if accuracy is not None)


def _refused_enough(after: Answers, classes: tuple[int, ...], refusal: Refusal) -> list[Criterion]:
    rates = after.refusal_by_class(classes)
    detail = "Share of the class's inputs answered as forgotten, against the floor of refusal '{}'."
    return [
        _at_least(f"refusal_of_class_{number}", detail.format(refusal), rate, REFUSAL_FLOOR[refusal])
        for number, rate in rates.items()
    ]


def _still_refused(before: Answers, after: Answers, parent: Parent, drift: float) -> list[Criterion]:
    """Classes once pushed, and those that the guard refused before, stay refused; how many inputs of others the null unit happens to win is only reported.

    A few hundred calibration inputs tell a rate to about a point, so the fall is judged beyond what chance explains.
    """
    floor, guarded = REFUSAL_FLOOR["push"], parent.guard.guarded_classes if parent.guard else ()
    found = []
    for number in sorted({*parent.pushed, *guarded}):
        was, now = (given.of_classes([number]).served == given.num_classes for given in (before, after))
        detail = f"Inputs of a class pushed or guarded earlier answered as forgotten: at least {floor}, and no more than {drift} "
        detail += f"(beyond chance) below the {float(was.double().mean()):.4f} before."
        lowest = float(was.double().mean()) - drift - _ONE_SIDED_95 * paired_error(was, now)
        rate = float(now.double().mean())
        found.append(_at_least(f"refusal_kept_of_class_{number}", detail, rate, max(floor, lowest)))
    return found


def paired_error(before: Tensor, after: Tensor) -> float:
    """Standard error of the difference of two shares over the same inputs, bool [N] each (McNemar 1947)."""
    difference = after.double() - before.double()
    return math.sqrt(float(difference.var(correction=0)) / len(difference))


def _at_least(name: str, detail: str, value: float | None, threshold: float) -> Criterion:
    assert value is not None, "a partition has calibration rows of every class it is judged by"
    return Criterion(name, detail, value, threshold, value >= threshold)


def _at_most(name: str, detail: str, value: float, threshold: float) -> Criterion:
    return Criterion(name, detail, value, threshold, value <= threshold)


def _below(name: str, detail: str, value: float | None, threshold: float | None) -> Criterion:
    assert value is not None, "a partition has calibration rows of every class it is judged by"
    assert threshold is not None, "likewise"
    return Criterion(name, detail, value, threshold, value < threshold or value == 0)
