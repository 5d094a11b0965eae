from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict
from itertools import permutations
from typing import get_args

import pytest
import torch

from app.contract.forgetting import ForgetReport
from app.errors import ClassNotFound, NothingLeft
from app.specs.architectures import Architecture, Cnn, Gru, Lstm, Mlp
from app.specs.learning import Learning, Progressive, SynapticIntelligence, Tasks
from app.specs.methods.edit import Scope, Strategy
from app.specs.refusing import Refusal
from app.specs.reports import TaskMeasurements
from app.specs.training import Training
from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.forgetting import Unlearned, keep_forgotten
from app.unlearning.forgetting import forget as forget_by
from app.unlearning.judging.gate import judge_forgetting
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.continual import Learned, learn_tasks, with_tasks
from app.unlearning.learning.growing import NO_TASK, owners
from app.unlearning.methods.importance import hidden_weights
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs, edit_of, learned, same_bits

TASKS: Tasks = ((0, 1), (2, 3), (4, 5))
DATA = blobs(num_classes=6, rows=480, noise=20)
CONTEXT = Context()
STATIC, GROWING = SynapticIntelligence(tasks=TASKS), Progressive(tasks=TASKS)
LEARNED = {"synaptic_intelligence": learned(DATA, STATIC), "progressive": learned(DATA, GROWING)}
TWO_TASKS: dict[str, Learning] = {
    "synaptic_intelligence": SynapticIntelligence(tasks=TASKS[:2]),
    "progressive": Progressive(tasks=TASKS[:2]),
}
MODES = list(LEARNED)
SMALL: list[Architecture] = [Mlp(hidden=(16,)), Cnn(channels=(4,), hidden=12), Gru(hidden=(12,)), Lstm(hidden=(12,))]


def forget(
    start: Learned | Unlearned,
    *classes: int,
    strategy: Strategy = "zero",
    scope: Scope = "network",
    refusal: Refusal = "none",
    share: float = 0.02,
) -> Unlearned:
    edit = edit_of(*classes, strategy=strategy, scope=scope, refusal=refusal, share=share, push_steps=150)
    return forget_by(Parent(start.model, start.importance), DATA, edit, CONTEXT)


def failed(unlearned: Unlearned) -> list[str]:
    return [criterion.name for criterion in unlearned.report.gate if not criterion.passed]


def task(unlearned: Unlearned, index: int) -> TaskMeasurements:
    return unlearned.report.after.tasks[index]


def untouchable(model: Classifier, classes: set[int], name: str) -> torch.Tensor:
    """The values, bool, that forgetting these classes may not touch whatever it chooses."""
    held = torch.ones_like(model.get_parameter(name), dtype=torch.bool)
    if name.startswith("head"):
        held[list(classes)] = False
    elif name in hidden_weights(model):
        touched = [index for index, of_task in enumerate(TASKS) if classes & set(of_task)]
        grows = isinstance(model.learning, Progressive)
        held = ~torch.isin(owners(model)[name], torch.tensor(touched)) if grows else ~held
    return held


@pytest.mark.parametrize("classes", [(2, 3), (4,), (0, 1, 5)])
@pytest.mark.parametrize("refusal", ["none", "calibrate"])
@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize("learning", [STATIC, GROWING])
@pytest.mark.parametrize("architecture", SMALL)
def test_untouched_weights_stay_bitwise_equal(
    architecture: Architecture, learning: Learning, strategy: Strategy, refusal: Refusal, classes: tuple[int, ...]
) -> None:
    start = _quickly_learned(architecture, learning)
    result = forget(start, *classes, strategy=strategy, refusal=refusal, share=0.1)
    replaced = result.report.settings["replaced"]
    for name, before in start.model.named_parameters():
        same = result.model.get_parameter(name) == before
        held = untouchable(start.model, set(classes), name)
        assert bool(same[held].all())
        assert int((~same).sum()) <= replaced.get(name, 0)
    assert all(replaced[name] > 0 for name in hidden_weights(start.model))
    structure_is_kept(result.model)


_LEARNED_BEFORE: dict[tuple[Architecture, Learning], Learned] = {}


def _quickly_learned(architecture: Architecture, learning: Learning) -> Learned:
    key = architecture, learning
    if key not in _LEARNED_BEFORE:
        _LEARNED_BEFORE[key] = learned(DATA, learning, architecture)
    return _LEARNED_BEFORE[key]


def structure_is_kept(model: Classifier) -> None:
    """Of a growing network, connections that do not exist are zero."""
    if isinstance(model.learning, Progressive):
        for name, owner in owners(model).items():
            assert bool((model.get_parameter(name)[owner == NO_TASK] == 0).all())


@pytest.mark.parametrize("refusal", get_args(Refusal))
@pytest.mark.parametrize("scope", get_args(Scope))
@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize("mode", MODES)
def test_a_task_is_forgotten_and_the_others_are_not(
    mode: str, strategy: Strategy, scope: Scope, refusal: Refusal
) -> None:
    start = LEARNED[mode]
    result = forget(start, 2, 3, strategy=strategy, scope=scope, refusal=refusal)
    assert failed(result) == []
    assert (task(result, 1).accuracy, task(result, 1).refusal_rate, task(result, 1).retained_accuracy) == (0, 1, None)
    assert task(result, 1).classes == [2, 3]
    for index in (0, 2):
        before = result.report.before.tasks[index]
        assert (task(result, index).retained_accuracy or 0) >= (before.accuracy or 0) - 0.05
        assert task(result, index).refusal_rate is None
        assert task(result, index).false_refusal_rate == 0
    assert set(result.importance) == set(start.importance) - {1}
    assert bool(result.report.importance_histogram) == (scope == "network")
    assert result.report.settings["forgotten_tasks"] == [1]
    structure_is_kept(result.model)
    if refusal == "push":
        assert (task(result, 1).refusal_rate_without_task or 0) > 0.9


@pytest.mark.parametrize("mode", MODES)
def test_without_push_a_named_task_answers_as_before_at_scope_output(mode: str) -> None:
    start = LEARNED[mode]
    result = forget(start, 2, 3, scope="output", refusal="calibrate")
    images = torch.rand(20, *DATA.input_shape)
    with torch.inference_mode():
        for index in (0, 2):
            before, after = (model.serve(model(images), index) for model in (start.model, result.model))
            assert torch.equal(before, after)


@pytest.mark.parametrize("mode", MODES)
def test_part_of_a_task_is_forgotten_and_its_other_class_goes_on(mode: str) -> None:
    result = forget(LEARNED[mode], 4, refusal="push")
    assert failed(result) == []
    found = task(result, 2)
    assert (found.retained_accuracy or 0) > 0.9
    assert (found.refusal_rate or 0) > 0.9
    assert found.accuracy == pytest.approx((found.retained_accuracy or 0) / 2, abs=0.01)
    assert set(result.importance) == set(LEARNED[mode].importance)
    assert list(result.report.settings["task_null_biases"]) == ["2"]
    structure_is_kept(result.model)


def test_calibration_with_the_task_named_costs_at_most_the_budget() -> None:
    result = forget(LEARNED["progressive"], 4, refusal="calibrate")
    labels = DATA.train_labels[DATA.calibration_rows]
    rows = DATA.calibration_rows[labels == 5]
    with torch.inference_mode():
        served = result.model.serve(result.model(DATA.train_images[rows].float() / 255), 2).argmax(dim=1)
    assert int((served != 5).sum()) <= 0.01 * len(rows)
    assert result.model.task_null_biases[2] != 0
    assert bool((result.model.task_null_biases[:2] == 0).all())


@pytest.mark.parametrize("order", list(permutations(range(3), 2)))
@pytest.mark.parametrize("mode", MODES)
def test_tasks_are_forgotten_in_any_order(mode: str, order: tuple[int, int]) -> None:
    first = forget(LEARNED[mode], *TASKS[order[0]], refusal="calibrate")
    second = forget(first, *TASKS[order[1]], strategy="random", refusal="calibrate")
    left = ({0, 1, 2} - set(order)).pop()
    assert failed(first) == failed(second) == []
    assert set(second.importance) <= {left}
    assert [task(second, index).refusal_rate for index in order] == [1, 1]
    assert task(second, order[0]).accuracy is None
    assert (task(second, left).retained_accuracy or 0) > 0.9
    weight = {model: model.head.weight[list(TASKS[order[0]])] for model in (first.model, second.model)}
    assert torch.equal(weight[first.model], weight[second.model])


@pytest.mark.parametrize("mode", MODES)
def test_several_tasks_and_a_part_are_forgotten_at_once(mode: str) -> None:
    result = forget(LEARNED[mode], 0, 1, 4, refusal="push")
    assert failed(result) == []
    assert result.report.settings["forgotten_tasks"] == [0]
    assert task(result, 0).refusal_rate == 1
    assert (task(result, 2).retained_accuracy or 0) > 0.9


@pytest.mark.parametrize("mode", MODES)
def test_a_task_forgotten_class_by_class_is_forgotten(mode: str) -> None:
    part = forget(LEARNED[mode], 2, refusal="push")
    parent = Parent(part.model, part.importance, pushed=(2,))
    whole = forget_by(parent, DATA, edit_of(3, push_steps=150), CONTEXT)
    assert failed(whole) == []
    assert whole.report.rehearsed_classes == [2]
    assert 1 not in whole.importance
    assert (task(whole, 1).refusal_rate, task(whole, 1).accuracy) == (1, 0)
    assert all(count > 0 for count in whole.report.settings["replaced"].values())


@pytest.mark.parametrize("refusal", get_args(Refusal))
@pytest.mark.parametrize("mode", MODES)
def test_the_same_seed_gives_the_same_bits(mode: str, refusal: Refusal) -> None:
    before = deepcopy(LEARNED[mode].model)
    results = [forget(LEARNED[mode], 1, 2, 3, strategy="random", refusal=refusal) for _ in range(2)]
    assert same_bits(results[0].model, results[1].model)
    assert same_bits(before, LEARNED[mode].model)


@pytest.mark.parametrize("mode", MODES)
def test_a_method_that_ruins_another_task_fails(mode: str) -> None:
    original, result = LEARNED[mode].model, forget(LEARNED[mode], 2, 3)
    with torch.no_grad():
        result.model.head.weight[[0, 1]] = result.model.head.weight[[1, 0]]
        result.model.head.bias[[0, 1]] = result.model.head.bias[[1, 0]]
    case = Case(Parent(original), DATA, Partition.of(DATA, [2, 3]))
    gate = judge_forgetting(case, result.model, edit_of(2, 3, refusal="none").refusing, CONTEXT)
    assert [criterion.name for criterion in gate if not criterion.passed] == ["retained_accuracy"]


def test_losing_the_refusal_of_a_task_pushed_earlier_fails() -> None:
    first = forget(LEARNED["progressive"], 0, 1, refusal="push")
    first.model.null_bias.fill_(-1e6)
    parent = Parent(first.model, pushed=(0, 1))
    second = forget_by(parent, DATA, edit_of(2, 3, refusal="none"), CONTEXT)
    assert failed(second) == ["refusal_kept_of_class_0", "refusal_kept_of_class_1"]


@pytest.mark.parametrize("mode", MODES)
def test_classes_of_no_task_take_no_part(mode: str) -> None:
    start = learned(DATA, TWO_TASKS[mode])
    result = forget(start, 2, refusal="push")
    assert failed(result) == []
    after = result.report.after
    assert after.per_class_accuracy[4:] == [None, None]
    assert [sum(row) for row in after.confusion_matrix] == [40, 40, 40, 40, 0, 0]
    with pytest.raises(ClassNotFound, match="Class 4"):
        forget(start, 4)
    with pytest.raises(NothingLeft):
        forget(start, 0, 1, 2, 3)


@pytest.mark.parametrize("refusal", ["none", "push"])
@pytest.mark.parametrize("mode", MODES)
def test_what_is_forgotten_stays_so_through_further_tasks(mode: str, refusal: Refusal) -> None:
    start = learned(DATA, TWO_TASKS[mode])
    parent = forget(start, 0, 1, 2, refusal=refusal)
    grown = with_tasks(parent.model, TASKS, seed=0)
    training = Training(epochs=10, batch_size=20, learning_rate=0.01, schedule="constant")
    further = learn_tasks(
        grown,
        DATA,
        DATA.train_rows,
        [2],
        training,
        known=[0, 1],
        importance=parent.importance,
        context=CONTEXT,
    )
    keeping = edit_of(0, refusal=refusal, push_steps=150).refusing
    kept = keep_forgotten(further.model, Parent(parent.model, keeping=keeping), DATA, CONTEXT)
    assert failed(kept) == []
    assert kept.model.forgotten_classes == (0, 1, 2)
    width = parent.model.head.in_features
    assert torch.equal(kept.model.head.weight[:3, :width], parent.model.head.weight[:3])
    assert bool((kept.model.head.weight[:3, width:] == 0).all())
    assert (task(kept, 2).retained_accuracy or 0) > 0.9
    assert (task(kept, 1).retained_accuracy or 0) > 0.9
    assert len(kept.report.before.tasks) == 2
    structure_is_kept(kept.model)
    if mode == "progressive" and refusal == "none":
        assert kept.report.weights_changed["head.bias"] == 2
        assert torch.equal(kept.model.task_null_biases[:2], parent.model.task_null_biases)


@pytest.mark.parametrize("mode", MODES)
def test_the_report_is_that_of_the_wire_contract(mode: str) -> None:
    report = asdict(forget(LEARNED[mode], 2, 3, refusal="calibrate").report)
    # What verification finds is added by the service.
    assert ForgetReport.model_validate(report).model_dump() == report | {
        "verification": None,
        "probe_recall": None,
    }
