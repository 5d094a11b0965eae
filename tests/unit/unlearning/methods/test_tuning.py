from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.methods.tuning import CLASS_AIM, Attempt, Judge, Score, choose
from app.unlearning.partition import Partition
from app.unlearning.sample_partition import of_samples
from tests.unit.unlearning.blobs import blobs, fitted
from tests.unit.unlearning.methods.settings import CONTEXT

DATA = blobs(rows=400)
MODEL = fitted(DATA)
PARTITION = Partition.of(DATA, [1])


def judge_of(partition: Partition, *, reads_forget_set: bool = True) -> Judge:
    return Judge(Case(Parent(MODEL), DATA, partition), 0.05, CONTEXT, seed=0, reads_forget_set=reads_forget_set)


def raising(forget: float, others: float, part: Context) -> Attempt:
    """A model that gives the label 1 to fewer inputs, or the label 0 to more, the higher these are."""
    part.check()
    model = deepcopy(MODEL)
    with torch.no_grad():
        model.head.bias[1] -= forget
        model.head.bias[0] += others
    return Attempt(model, {"told": forget})


def test_held_out_rows_are_retained_training_rows_that_the_method_does_not_get() -> None:
    judge = judge_of(PARTITION)
    both = torch.cat([judge.held, judge.rows]).sort().values
    assert torch.equal(both, PARTITION.train.retain.sort().values)
    assert len(judge.held) == round(0.1 * len(both))
    assert judge.before.forget_accuracy == 1
    assert judge.aim == CLASS_AIM


def test_samples_should_come_down_to_what_was_never_seen() -> None:
    judge = judge_of(of_samples(DATA, DATA.train_rows[:30].tolist()))
    assert 0.9 <= judge.aim <= 1
    assert judge.floor == min(judge.before.utility, judge.aim) - 0.05


def test_the_gentlest_value_that_forgets_enough_is_taken() -> None:
    choice = choose(
        "strength", (0.01, 50.0, 90.0), lambda value, part: raising(value, 0, part), judge_of(PARTITION), CONTEXT
    )
    assert choice.settings["strength"] == choice.settings["told"] == 50.0
    assert [entry["strength"] for entry in choice.settings["tried"]] == [0.01, 50.0]
    assert choice.settings["within_budget"]


def test_what_costs_too_much_is_not_taken_and_nothing_stronger_tried() -> None:
    choice = choose(
        "strength", (0.01, 50.0, 90.0), lambda value, part: raising(0, value, part), judge_of(PARTITION), CONTEXT
    )
    assert choice.settings["strength"] == 0.01
    assert [entry["strength"] for entry in choice.settings["tried"]] == [0.01, 50.0]


def test_of_values_that_forget_a_class_about_as_well_the_one_that_costs_least_is_taken() -> None:
    judge = judge_of(PARTITION)
    scores = iter(
        [Score(0.5, 1.0), Score(0.045, 0.99), Score(0.03, 0.96), Score(0.5, 1.0), Score(0.06, 0.99), Score(0.03, 0.96)]
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(judge, "score", lambda _: next(scores))
        for expected in (2.0, 3.0):
            choice = choose("strength", (1.0, 2.0, 3.0), lambda value, part: raising(value, 0, part), judge, CONTEXT)
            assert choice.settings["strength"] == expected


def test_a_budget_that_nothing_keeps_is_told() -> None:
    choice = choose("strength", (50.0, 90.0), lambda value, part: raising(0, value, part), judge_of(PARTITION), CONTEXT)
    assert choice.settings["strength"] == 50.0
    assert not choice.settings["within_budget"]
    assert choice.settings["held_out_accuracy"] < choice.settings["held_out_floor"]


@pytest.mark.parametrize("values", [(50.0, 0.01), (90.0, 50.0, 0.01)])
def test_without_looking_at_the_forget_set_the_strongest_that_is_afforded_is_taken(values: tuple[float, ...]) -> None:
    judge = judge_of(PARTITION, reads_forget_set=False)
    choice = choose("strength", values, lambda value, part: raising(0, value, part), judge, CONTEXT)
    assert choice.settings["strength"] == 0.01
    assert choice.settings["forget_accuracy"] is None
