from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from app.errors import NotApplicable
from app.specs.methods.finetune import FinetuneParameters
from app.specs.methods.retrain import RetrainParameters
from app.specs.methods.salun import SalunParameters
from app.specs.request import ForgetSpec
from app.specs.target import Target
from app.specs.training import Training
from app.unlearning.case import Case, Parent
from app.unlearning.comparing import Comparison, compare, train_references
from app.unlearning.context import Cancelled, Context
from tests.unit.unlearning.blobs import blobs, edit_of, fitted

DATA = blobs()
TRAINING = Training(epochs=3, batch_size=32)
FINETUNE = ForgetSpec(Target((1,)), "finetune", FinetuneParameters(steps=10, learning_rate=0.002), "calibrate")
RETRAIN = ForgetSpec(Target((1,)), "retrain", RetrainParameters(training=TRAINING), "calibrate")


def stop() -> None:
    raise Cancelled


@pytest.fixture(scope="module")
def found() -> Comparison:
    case = Case.of(Parent(fitted(DATA)), DATA, Target((1,)))
    references = train_references(case, TRAINING, Context(), seeds=[2, 3])
    assert list(references) == [2, 3]
    asked = [edit_of(1, refusal="calibrate"), FINETUNE, RETRAIN]
    return compare(case.parent, DATA, asked, Context(), references=references, seed=0)


def test_every_method_has_a_row_beside_original_and_retrained(found: Comparison) -> None:
    assert [row.error for row in found.rows] == [None, None, None]
    assert found.original.forget_accuracy == 1.0
    assert found.retrained.forget_accuracy == 0.0
    assert all(row.figures is not None and row.figures.forget_accuracy == 0.0 for row in found.rows)
    assert (found.original.seconds, found.retrained.ratio_to_retraining) == (None, 1.0)


def test_the_ratio_to_retraining_is_one_of_cpu_seconds_beside_which_wall_seconds_stand(found: Comparison) -> None:
    retraining = found.retrained.cpu_seconds
    assert retraining is not None
    for row in found.rows:
        assert row.figures is not None
        assert row.figures.seconds is not None
        assert row.figures.cpu_seconds is not None
        assert row.figures.ratio_to_retraining == pytest.approx(row.figures.cpu_seconds / retraining)


def test_of_references_without_cpu_seconds_no_ratio_is_told() -> None:
    case = Case.of(Parent(fitted(DATA)), DATA, Target((1,)))
    trained = train_references(case, TRAINING, Context(), seeds=[2, 3])
    unknown = {seed: replace(each, cpu_seconds=None) for seed, each in trained.items()}
    half = unknown | {2: trained[2]}
    asked = [edit_of(1, refusal="calibrate")]
    found, partly = (compare(case.parent, DATA, asked, Context(), references=each, seed=0) for each in (unknown, half))
    assert (found.retrained.cpu_seconds, found.retrained.ratio_to_retraining) == (None, None)
    assert found.rows[0].figures is not None
    assert found.rows[0].figures.ratio_to_retraining is None
    assert partly.retrained.cpu_seconds == trained[2].cpu_seconds


def test_gaps_are_differences_to_retrained_models(found: Comparison) -> None:
    assert (found.retrained.probe_gap, found.retrained.mia_gap) == (0.0, 0.0)
    assert all(
        row.figures is not None and -1 <= row.figures.mia_gap <= 1 and row.figures.probe_gap is not None
        for row in found.rows
    )


def test_a_method_that_fails_does_not_keep_the_others_from_going_on() -> None:
    """Salun has no wrong label to draw where a single class is left."""
    original = fitted(DATA)
    original.mark_forgotten([1, 2, 3])
    with torch.no_grad():
        original.head.weight[[1, 2, 3]] = 0.0
        original.head.bias[[1, 2, 3]] = 0.0
    samples = DATA.train_rows[DATA.train_labels[DATA.train_rows] == 0][:30].tolist()
    target = Target(samples=tuple(samples))
    case = Case.of(Parent(original), DATA, target)
    references = train_references(case, TRAINING, Context(), seeds=[1])
    asked = [
        ForgetSpec(target, "salun", SalunParameters(), "none"),
        ForgetSpec(target, "finetune", FINETUNE.parameters, "none"),
    ]
    failed, went_on = compare(case.parent, DATA, asked, Context(), references=references, seed=0).rows
    assert isinstance(failed.error, NotApplicable)
    assert (failed.figures, failed.verdict, failed.claim) == (None, None, None)
    assert went_on.error is None
    assert went_on.figures is not None
    assert went_on.figures.probe_gap is None


def test_cancelling_ends_the_comparison_and_not_one_row_of_it() -> None:
    case = Case.of(Parent(fitted(DATA)), DATA, Target((1,)))
    references = train_references(case, TRAINING, Context(), seeds=[1])
    with pytest.raises(Cancelled):
        compare(case.parent, DATA, [FINETUNE], Context(check=stop), references=references, seed=0)
