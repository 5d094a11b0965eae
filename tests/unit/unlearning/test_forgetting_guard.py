"""A guard through the verbs, and collapse carried on by them."""

from __future__ import annotations

from dataclasses import replace

import torch

from app.specs.methods.edit import EditSettings
from app.specs.methods.finetune import FinetuneParameters
from app.specs.refusing import GuardParameters
from app.specs.request import ForgetSpec
from app.specs.target import Target
from app.specs.training import Training
from app.unlearning.case import Parent
from app.unlearning.context import Context
from app.unlearning.data import images_as_float
from app.unlearning.forgetting import Unlearned, forget, keep_forgotten
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.training import fit
from app.unlearning.partition import Partition, rows_of
from app.unlearning.refusing.feature_collapse import spread_of_forgotten
from app.unlearning.refusing.guard_fitting import fit_guard_of
from tests.unit.unlearning.blobs import blobs, edit_of, fitted

DATA = blobs()
CONTEXT = Context()
QUICK = GuardParameters(hidden=16, steps=200, batch_size=48, refusal_budget=0.01)
GUARDING = replace(edit_of(1, refusal="guard", share=0.005), guard=QUICK)
MODEL = fitted(DATA)
GUARDED = forget(Parent(MODEL), DATA, GUARDING, CONTEXT)


def missed(result: Unlearned) -> list[str]:
    return [criterion.name for criterion in result.report.gate if not criterion.passed]


def test_the_figures_of_a_guarded_request_are_those_behind_its_guard() -> None:
    assert missed(GUARDED) == []
    assert GUARDED.guard is not None
    assert GUARDED.guard.guarded_classes == (1,)
    assert (GUARDED.report.after.refusal_rate or 0) > 0.9
    assert GUARDED.report.settings["guard"]["classes"] == [1]
    assert GUARDED.report.rehearsed_classes == []


def test_a_later_request_fits_the_guard_anew_and_says_whose_images_it_read() -> None:
    later = edit_of(2, refusal="none", share=0.005)
    result = forget(Parent(GUARDED.model, guard=GUARDED.guard), DATA, later, CONTEXT)
    assert result.guard is not None
    assert GUARDED.guard is not None
    assert result.guard.guarded_classes == (1,)
    assert not torch.equal(result.guard.network[0].weight, GUARDED.guard.network[0].weight)  # type: ignore[index]  # a sequence of layers
    assert result.report.rehearsed_classes == [1]
    assert "refusal_kept_of_class_1" in [criterion.name for criterion in result.report.gate]


def test_a_guard_that_is_fitted_anew_never_meets_the_samples_to_forget() -> None:
    assert GUARDED.guard is not None
    samples = rows_of(DATA.train_labels, DATA.train_rows, [0])[:40].tolist()
    parameters = FinetuneParameters(steps=20, learning_rate=1e-3)
    asked = ForgetSpec(Target(samples=tuple(samples)), "finetune", parameters, "none")
    parent = Parent(GUARDED.model, guard=GUARDED.guard, keeping=GUARDING.refusing)
    result = forget(parent, DATA, asked, CONTEXT)
    without = fit_guard_of(result.model, DATA.without(samples), (1,), QUICK, CONTEXT, seed=asked.seed)
    assert result.guard is not None
    for name, values in result.guard.state_dict().items():
        assert torch.equal(values, without.state_dict()[name]), name


def test_without_the_guard_a_later_request_has_none() -> None:
    result = forget(Parent(GUARDED.model), DATA, edit_of(2, refusal="none", share=0.005), CONTEXT)
    assert result.guard is None


def further_trained(parent: Classifier) -> Classifier:
    trained = fitted(DATA, seed=1)
    rows = Partition.of(DATA, parent.forgotten_classes).train.retain
    fit(trained, DATA, rows, Training(epochs=1, batch_size=32), CONTEXT)
    return trained


def test_further_training_keeps_a_copy_of_the_guard_calibrated_again() -> None:
    parent = Parent(GUARDED.model, guard=GUARDED.guard, keeping=GUARDING.refusing)
    kept = keep_forgotten(further_trained(GUARDED.model), parent, DATA, CONTEXT)
    assert missed(kept) == []
    assert kept.guard is not None
    assert GUARDED.guard is not None
    assert kept.guard is not GUARDED.guard
    assert torch.equal(kept.guard.classes, GUARDED.guard.classes)


def spread(model: Classifier) -> float:
    """How far the forgotten test inputs lie apart, whichever class they are of; see `collapse`."""
    with torch.no_grad():
        features = model.body(images_as_float(DATA.test_images))
    return float(spread_of_forgotten(features, model.forgotten[DATA.test_labels]))


def pushing(weight: float) -> ForgetSpec:
    edit = edit_of(1, 2, push_steps=200)
    assert isinstance(edit.parameters, EditSettings)
    return replace(edit, parameters=replace(edit.parameters, collapse_weight=weight))


def test_collapse_is_told_in_the_settings_hides_which_class_and_is_carried_on_by_further_training() -> None:
    plain, hidden = (forget(Parent(MODEL), DATA, pushing(weight), CONTEXT) for weight in (0.0, 1.0))
    assert hidden.report.settings["parameters"]["collapse_weight"] == 1.0
    assert spread(hidden.model) < spread(plain.model) / 2
    trained = further_trained(hidden.model)
    parents = [Parent(hidden.model, keeping=pushing(weight).refusing) for weight in (0.0, 1.0)]
    kept = [keep_forgotten(trained, parent, DATA, CONTEXT).model for parent in parents]
    assert spread(kept[1]) < spread(kept[0]) / 2


def test_one_forgotten_class_has_nobody_to_be_told_from() -> None:
    plain, asked = (
        forget(Parent(MODEL), DATA, replace(pushing(weight), target=Target((1,))), CONTEXT) for weight in (0.0, 1.0)
    )
    assert torch.equal(plain.model.head.weight, asked.model.head.weight)
