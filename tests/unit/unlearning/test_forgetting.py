from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, replace
from typing import get_args

import pytest
import torch

from app.contract.forgetting import ForgetReport
from app.errors import AlreadyForgotten, ClassNotFound, NothingLeft
from app.specs.architectures import Architecture, Cnn, Mlp, Torchvision
from app.specs.methods.edit import Scope, Strategy
from app.specs.refusing import Refusal
from app.specs.training import Training
from app.unlearning.case import Case, Parent
from app.unlearning.context import Cancelled, Context
from app.unlearning.data import Dataset
from app.unlearning.forgetting import Unlearned, forget, keep_forgotten
from app.unlearning.judging.gate import judge_forgetting, paired_error
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit
from app.unlearning.partition import Partition, rows_of
from tests.unit.unlearning.blobs import blobs, edit_of, everything, fitted, same_bits

DATA = blobs()
MODEL = fitted(DATA)
CONTEXT = Context()


def failed(unlearned: Unlearned) -> list[str]:
    """The names of the criteria that did not hold."""
    return [criterion.name for criterion in unlearned.report.gate if not criterion.passed]


@pytest.mark.parametrize("refusal", get_args(Refusal))
@pytest.mark.parametrize("scope", get_args(Scope))
@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_every_combination_forgets(strategy: Strategy, scope: Scope, refusal: Refusal) -> None:
    edit = edit_of(1, strategy=strategy, scope=scope, refusal=refusal, share=0.005)
    result = forget(Parent(MODEL), DATA, edit, CONTEXT)
    assert failed(result) == []
    assert (result.verdict, result.sought.claim) == ("passed", "edited")
    assert result.model.forgotten_classes == (1,)
    assert result.report.before.forget_accuracy == pytest.approx(1, abs=0.02)
    assert result.report.after.forget_accuracy == 0
    assert bool((result.model.head.weight[1] == 0).all()) == (strategy == "zero")
    if refusal == "push":
        assert result.report.after.refusal_rate is not None
        assert result.report.after.refusal_rate > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [Cnn(channels=(16,), hidden=32), Torchvision("shufflenet_v2_x0_5")])
def test_other_networks_forget_too(architecture: Architecture) -> None:
    data = blobs(rows=480)
    model = fitted(data, architecture, epochs=8)
    result = forget(Parent(model), data, edit_of(2, share=0.005), CONTEXT)
    assert failed(result) == []


@pytest.mark.parametrize("refusal", ["none", "calibrate"])
@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_an_edit_of_the_output_alone_leaves_every_other_value_bitwise_equal(
    strategy: Strategy, refusal: Refusal
) -> None:
    result = forget(Parent(MODEL), DATA, edit_of(1, strategy=strategy, scope="output", refusal=refusal), CONTEXT)
    before = everything(MODEL)
    for name, tensor in result.model.state_dict().items():
        if name in {"forgotten", "null_bias"}:
            continue
        rows = [0, 2, 3] if name.startswith("head") else ...
        assert torch.equal(tensor[rows], before[name][rows])
    assert result.report.weights_changed["body.1.weight"] == 0


def test_the_original_is_not_touched_and_the_same_seed_gives_the_same_bits() -> None:
    before = deepcopy(MODEL)
    state = torch.random.get_rng_state()
    results = [forget(Parent(MODEL), DATA, edit_of(1, strategy="random", seed=seed), CONTEXT) for seed in (5, 5, 6)]
    assert same_bits(MODEL, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert same_bits(results[0].model, results[1].model)
    assert not same_bits(results[0].model, results[2].model)


def test_several_classes_can_be_forgotten_at_once() -> None:
    result = forget(Parent(MODEL), DATA, edit_of(3, 1, push_steps=100), CONTEXT)
    assert failed(result) == []
    assert set(result.report.after.refusal_by_class) == {"1", "3"}
    assert result.report.settings["classes"] == [1, 3]


def test_requests_stack_and_earlier_classes_stay_refused() -> None:
    first = forget(Parent(MODEL), DATA, edit_of(1), CONTEXT)
    second = forget(Parent(first.model, pushed=(1,)), DATA, edit_of(3, push_steps=100), CONTEXT)
    assert failed(second) == []
    assert second.model.forgotten_classes == (1, 3)
    assert second.report.rehearsed_classes == [1]
    assert torch.equal(second.model.head.weight[1], first.model.head.weight[1])
    assert min(second.report.after.refusal_by_class.values()) > 0.95
    assert "refusal_kept_of_class_1" in {criterion.name for criterion in second.report.gate}
    assert second.report.before.refusal_by_class["3"] < 0.05


def test_losing_the_refusal_of_an_earlier_class_fails() -> None:
    first = forget(Parent(MODEL), DATA, edit_of(1), CONTEXT)
    ruined = deepcopy(first.model)
    ruined.null_bias.fill_(-1e6)
    second = forget(Parent(ruined), DATA, edit_of(3, scope="output", refusal="none"), CONTEXT)
    partition = Partition.of(DATA, [3], [1])
    case = Case(Parent(first.model, pushed=(1,)), DATA, partition)
    gate = judge_forgetting(case, second.model, edit_of(3, refusal="none").refusing, CONTEXT)
    assert [criterion.name for criterion in gate if not criterion.passed] == ["refusal_kept_of_class_1"]


def _changes_nothing(model: Classifier) -> None:
    """Strike the class from the answers alone."""


def _edits_the_wrong_row(model: Classifier) -> None:
    with torch.no_grad():
        model.head.weight[2], model.head.bias[2] = 0, 0


def _edits_half_a_row(model: Classifier) -> None:
    with torch.no_grad():
        model.head.weight[1, ::2] = 0


def _ruins_the_model(model: Classifier) -> None:
    with torch.no_grad():
        model.head.weight.zero_()


@pytest.mark.parametrize(
    ("method", "criteria"),
    [
        (_changes_nothing, {"weights_changed", "output_rows_replaced"}),
        (_edits_the_wrong_row, {"output_rows_replaced"}),
        (_edits_half_a_row, {"output_rows_replaced"}),
        (_ruins_the_model, {"retained_accuracy"}),
    ],
)
def test_a_method_that_does_not_do_its_work_fails(method: object, criteria: set[str]) -> None:
    model = deepcopy(MODEL)
    assert callable(method)
    method(model)
    model.mark_forgotten([1])
    model.null_bias.fill_(-100.0)
    case = Case(Parent(MODEL), DATA, Partition.of(DATA, [1]))
    gate = judge_forgetting(case, model, edit_of(1, refusal="none").refusing, CONTEXT)
    assert criteria <= {criterion.name for criterion in gate if not criterion.passed}


def test_a_class_that_stays_in_the_competition_has_not_been_forgotten() -> None:
    case = Case(Parent(MODEL), DATA, Partition.of(DATA, [1]))
    gate = judge_forgetting(case, MODEL, edit_of(1, refusal="none").refusing, CONTEXT)
    assert {c.name for c in gate if not c.passed} >= {"weights_changed", "forget_accuracy"}


def test_a_push_that_does_not_refuse_fails() -> None:
    unfitted = forget(Parent(MODEL), DATA, edit_of(1, refusal="none"), CONTEXT).model
    unfitted.null_bias.fill_(-100.0)
    case = Case(Parent(MODEL), DATA, Partition.of(DATA, [1]))
    gate = judge_forgetting(case, unfitted, edit_of(1).refusing, CONTEXT)
    assert "refusal_of_class_1" in {criterion.name for criterion in gate if not criterion.passed}


def test_a_class_that_looks_like_another_cannot_be_refused_within_the_budget() -> None:
    data = blobs(overlap=(1, 2))
    result = forget(Parent(fitted(data)), data, edit_of(1), CONTEXT)
    assert result.verdict == "failed"
    assert {"refusal_of_class_1", "retained_accuracy"} & set(failed(result))
    assert result.report.after.forget_accuracy == 0


def test_what_cannot_be_forgotten_is_refused() -> None:
    once = forget(Parent(MODEL), DATA, edit_of(1, refusal="none"), CONTEXT).model
    with pytest.raises(AlreadyForgotten):
        forget(Parent(once), DATA, edit_of(1), CONTEXT)
    with pytest.raises(ClassNotFound):
        forget(Parent(once), DATA, edit_of(9), CONTEXT)
    with pytest.raises(NothingLeft):
        forget(Parent(once), DATA, edit_of(0, 2, 3), CONTEXT)


def test_forgetting_ends_when_it_is_cancelled() -> None:
    def cancel() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        forget(Parent(MODEL), DATA, edit_of(1), Context(check=cancel))


def test_the_report_is_that_of_the_wire_contract() -> None:
    report = asdict(forget(Parent(MODEL), DATA, edit_of(1), CONTEXT).report)
    parsed = ForgetReport.model_validate_json(ForgetReport.model_validate(report).model_dump_json())
    assert set(report) == set(ForgetReport.model_fields) - {"verification"}
    assert parsed.settings["parameters"]["push_steps"] == 60
    for seconds in (parsed.seconds, parsed.cpu_seconds):
        assert seconds["method"] == pytest.approx(seconds["editing"] + seconds["refusal"])


def test_progress_goes_from_nothing_to_all_and_never_back() -> None:
    fractions: list[float] = []
    context = Context(progress=lambda fraction, _stage, _message: fractions.append(fraction))
    forget(Parent(MODEL), DATA, edit_of(1), context)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def _trained_further(parent: Classifier, data: Dataset, *, from_scratch: bool) -> Classifier:
    model = deepcopy(parent)
    if from_scratch:
        model = build(Mlp(hidden=(32,)), data.input_shape, data.num_classes, seed=9)
        model.mark_forgotten(parent.forgotten_classes)
    rows = rows_of(data.train_labels, data.train_rows, set(range(4)) - set(parent.forgotten_classes))
    fit(model, data, rows, Training(epochs=4, batch_size=32, weight_decay=1e-3), CONTEXT)
    return model


@pytest.mark.parametrize("from_scratch", [False, True])
@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_forgotten_classes_stay_forgotten_through_further_training(strategy: Strategy, from_scratch: bool) -> None:  # noqa: FBT001  by parameter
    edit = edit_of(1, strategy=strategy)
    parent = forget(Parent(MODEL), DATA, edit, CONTEXT).model
    trained = _trained_further(parent, DATA, from_scratch=from_scratch)
    before = deepcopy(trained)
    kept = keep_forgotten(trained, Parent(parent, keeping=edit.refusing), DATA, CONTEXT)
    assert failed(kept) == []
    assert same_bits(trained, before)
    assert kept.model.forgotten_classes == (1,)
    assert torch.equal(kept.model.head.weight[1], parent.head.weight[1])
    assert torch.equal(kept.model.head.bias[1], parent.head.bias[1])
    assert kept.report.rehearsed_classes == [1]


def test_with_refusal_none_nothing_is_fitted_but_rows_are_struck_again() -> None:
    edit = edit_of(1, refusal="none")
    parent = forget(Parent(MODEL), DATA, edit, CONTEXT).model
    trained = deepcopy(MODEL)
    kept = keep_forgotten(trained, Parent(parent, keeping=edit.refusing), DATA, CONTEXT)
    assert bool((kept.model.head.weight[1] == 0).all())
    assert torch.equal(kept.model.head.weight[0], trained.head.weight[0])
    assert torch.equal(kept.model.null_bias, parent.null_bias)
    assert kept.report.rehearsed_classes == []


def test_the_refusal_of_a_class_that_was_never_pushed_is_reported_and_promises_nothing() -> None:
    edit = edit_of(1)
    parent = forget(Parent(MODEL), DATA, edit, CONTEXT).model
    trained = deepcopy(parent)
    with torch.no_grad():
        trained.head.bias.add_(100)
    kept = keep_forgotten(trained, Parent(parent, keeping=replace(edit.refusing, refusal="none")), DATA, CONTEXT)
    assert failed(kept) == []
    assert kept.report.after.refusal_by_class["1"] < kept.report.before.refusal_by_class["1"]


def test_a_fall_that_chance_explains_is_none_and_a_real_one_is() -> None:
    was, fell = torch.ones(400, dtype=torch.bool), torch.ones(400, dtype=torch.bool)
    fell[:6] = False  # 1.5 points
    assert paired_error(was, was) == 0
    assert 0.015 - 0.01 < 1.645 * paired_error(was, fell) < 0.05 - 0.01


def test_further_training_that_loses_the_refusal_fails() -> None:
    edit = edit_of(1)
    parent = forget(Parent(MODEL), DATA, edit, CONTEXT).model
    trained = deepcopy(parent)
    with torch.no_grad():
        trained.head.bias.add_(100)  # every retained class now wins against the null unit
    unfitted = Parent(parent, pushed=(1,), keeping=replace(edit.refusing, refusal="none"))
    assert failed(keep_forgotten(trained, unfitted, DATA, CONTEXT)) == ["refusal_kept_of_class_1"]


@pytest.mark.parametrize("refusal", get_args(Refusal))
def test_a_null_unit_of_the_parent_that_refuses_everything_fails_unless_it_is_fitted_anew(refusal: Refusal) -> None:
    edit = edit_of(1, refusal=refusal)
    parent = forget(Parent(MODEL), DATA, edit, CONTEXT).model
    parent.null_bias.fill_(1e3)  # far above what another network's logits reach
    kept = keep_forgotten(
        _trained_further(parent, DATA, from_scratch=True), Parent(parent, keeping=edit.refusing), DATA, CONTEXT
    )
    assert failed(kept) == (["retained_accuracy"] if refusal == "none" else [])
    before = next(criterion.threshold for criterion in kept.report.gate if criterion.name == "retained_accuracy")
    assert before > 0.5


def test_a_class_that_was_never_answered_is_forgotten() -> None:
    model = build(Mlp(hidden=(32,)), DATA.input_shape, DATA.num_classes, 0)
    rows = rows_of(DATA.train_labels, DATA.train_rows, [0, 1, 3])
    fit(model, DATA, rows, Training(epochs=6, batch_size=32), CONTEXT)
    result = forget(Parent(model), DATA, edit_of(2), CONTEXT)
    assert result.report.before.forget_accuracy == 0
    assert failed(result) == []


@pytest.mark.parametrize(
    ("architecture", "refusal", "asked", "used"),
    [
        (Mlp(hidden=(32,)), "push", None, 0.005),
        (Cnn(channels=(4,), hidden=16), "push", None, 0.003),
        (Mlp(hidden=(32,)), "calibrate", None, 0.003),
        (Mlp(hidden=(32,)), "none", None, 0.0),
        (Mlp(hidden=(32,)), "push", 0.02, 0.02),
    ],
)
def test_the_report_says_what_refusing_was_allowed_to_cost(
    architecture: Architecture, refusal: Refusal, asked: float | None, used: float
) -> None:
    edit = edit_of(1, refusal=refusal, push_steps=5)
    edit = replace(edit, parameters=replace(edit.parameters, refusal_budget=asked))
    network = fitted(DATA, architecture, epochs=2)
    assert forget(Parent(network), DATA, edit, Context()).report.settings["refusal_budget"] == used
