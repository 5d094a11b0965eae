"""What the gate counts, on answers made by hand; and which rows it looks at."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from app.specs.refusing import GuardParameters
from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.judging import gate
from app.unlearning.judging.measurements import Answers
from app.unlearning.partition import Partition
from app.unlearning.refusing.guard import Guard
from app.unlearning.sample_partition import of_samples
from tests.unit.unlearning.blobs import blobs, edit_of, fitted

COUNT = 1000
FORGOTTEN = 4  # of four classes


def answers(right: int, *, label: int = 0, refused: bool = False) -> Answers:
    """Inputs of one class, of which so many are answered as they should be, the others as class 3."""
    served = torch.full((COUNT,), 3)
    served[:right] = FORGOTTEN if refused else label
    return Answers(torch.full((COUNT,), label), served, served, served, FORGOTTEN)


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [
        (1000, 1000, True),
        (1000, 985, True),  # a fall of .015, of which chance explains .006 beside the drift of .01
        (1000, 980, False),
        (905, 901, True),
        (905, 899, False),  # within drift and chance, and below the floor
    ],
)
def test_a_pushed_class_stays_refused_within_drift_and_chance_and_above_the_floor(
    before: int, after: int, *, passed: bool
) -> None:
    refusing, parent = edit_of(1).refusing, Parent(fitted(blobs(), epochs=1), pushed=(2,))
    assert refusing.refusal_drift == 0.01
    was, now = (answers(count, label=2, refused=True) for count in (before, after))
    (criterion,) = gate._still_refused(was, now, parent, refusing.refusal_drift)
    assert criterion.name == "refusal_kept_of_class_2"
    assert criterion.passed is passed


def test_so_does_one_that_only_the_guard_refused() -> None:
    guard = Guard(GuardParameters(), (1, 8, 8), 4)
    guard.classes[2] = True
    model = fitted(blobs(), epochs=1)
    was, now = (answers(count, label=2, refused=True) for count in (1000, 500))
    (criterion,) = gate._still_refused(was, now, Parent(model, guard=guard), 0.01)
    assert not criterion.passed
    assert gate._still_refused(was, now, Parent(model), 0.01) == []


@pytest.mark.parametrize(("after", "passed"), [(995, True), (991, True), (985, True), (981, False)])
def test_retained_accuracy_may_fall_by_the_budget_and_what_chance_explains_and_no_more(
    after: int, *, passed: bool
) -> None:
    criterion = gate._retained_accuracy(answers(1000), answers(after), [[0]], 0.01)
    assert criterion.passed is passed


def test_samples_to_forget_are_not_judged_by() -> None:
    data = blobs(rows=80, size=2)
    going = data.calibration_rows[:5]
    rows = gate._calibration_rows(data, of_samples(data, [*going.tolist(), int(data.train_rows[0])]))
    assert torch.equal(rows, data.calibration_rows[5:])


def test_only_calibration_rows_decide() -> None:
    data = blobs()
    model, other = fitted(data), fitted(data, seed=1)
    images = data.train_images.clone()
    images[data.train_rows] = 0
    blank = replace(data, train_images=images, test_images=torch.zeros_like(data.test_images))
    partition, refusing = Partition.of(data, [1]), edit_of(1, refusal="none").refusing
    found, same = (
        gate.judge_forgetting(Case(Parent(model), each, partition), other, refusing, Context())
        for each in (data, blank)
    )
    assert found == same
