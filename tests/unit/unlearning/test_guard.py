from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from app.errors import InvalidShape, NotApplicable
from app.specs.architectures import Mlp
from app.specs.learning import SynapticIntelligence
from app.unlearning.context import Cancelled, Context
from app.unlearning.data import images_as_float
from app.unlearning.judging.measurements import Answers, answers
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.methods.method import strike
from app.unlearning.partition import Partition
from app.unlearning.refusing.guard import Guard, Guarded
from app.unlearning.refusing.guard_fitting import calibrate_guard, fit_guard, fit_guard_of, recalibrated
from app.unlearning.sample_partition import of_samples
from tests.unit.unlearning.blobs import QUICK_GUARD, blobs, everything, fitted, learned
from tests.unit.unlearning.methods.settings import poisoned

DATA = blobs()
PARTITION = Partition.of(DATA, [1])
SECOND = Partition.of(DATA, [2], earlier=[1])
CONTEXT = Context()
TEST_ROWS = torch.arange(len(DATA.test_labels))
IMAGES = images_as_float(DATA.test_images)


def struck(*partitions: Partition) -> Classifier:
    """A classifier whose null unit never wins by itself, these classes struck."""
    model = fitted(DATA)
    for partition in partitions:
        strike(model, partition)
    model.null_bias.fill_(-torch.inf)
    return model


def fit_one(model: Classifier, partition: Partition = PARTITION, seed: int = 0) -> Guard:
    return fit_guard(model, DATA, partition, QUICK_GUARD, CONTEXT, seed=seed)


def on_test_inputs(model: Classifier, guard: Guard | None) -> Answers:
    return answers(model, DATA.test_images, DATA.test_labels, TEST_ROWS, guard=guard)


MODEL = struck(PARTITION)
GUARD = fit_one(MODEL)
GUARDED = Guarded(MODEL, GUARD)


def test_the_guard_refuses_its_class_and_lets_the_others_pass() -> None:
    found = on_test_inputs(MODEL, GUARD)
    assert (found.of_classes([1]).refusal_rate() or 0) > 0.95
    assert (found.of_classes([0, 2, 3]).refusal_rate() or 0) < 0.05
    alone = on_test_inputs(MODEL, None)
    assert alone.refusal_rate() == 0
    assert torch.equal(found.raw, alone.raw)
    kept = found.served < 4
    assert torch.equal(found.served[kept], alone.served[kept])


def test_fitting_a_guard_leaves_every_bit_of_the_classifier() -> None:
    model = struck(PARTITION)
    before = everything(model)
    fit_one(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_guard_is_deterministic_by_seed_and_leaves_the_global_generator() -> None:
    state = torch.random.get_rng_state()
    first, other = fit_one(MODEL), fit_one(MODEL, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    again = fit_one(MODEL)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in first.state_dict().items())
    assert not torch.equal(first.threshold, other.threshold)


def test_a_guard_survives_being_stored_and_rebuilt(tmp_path: Path) -> None:
    save_file(
        {name: tensor.contiguous() for name, tensor in GUARD.state_dict().items()}, tmp_path / "guard.safetensors"
    )
    rebuilt = Guard(QUICK_GUARD, DATA.input_shape, DATA.num_classes).eval()
    assert bool((rebuilt.margins(IMAGES[:5]) == -torch.inf).all())  # refuses nothing until it is calibrated
    rebuilt.load_state_dict(load_file(tmp_path / "guard.safetensors"))
    rebuilt.to(memory_format=torch.channels_last)
    assert rebuilt.classes.nonzero().flatten().tolist() == [1]
    assert torch.equal(Guarded(MODEL, rebuilt).probabilities(IMAGES), GUARDED.probabilities(IMAGES))


def test_served_probabilities_sum_to_one_and_the_null_unit_wins_where_the_guard_refuses() -> None:
    found = GUARDED.probabilities(IMAGES)
    assert found.shape == (len(IMAGES), 5)
    assert torch.allclose(found.sum(dim=1), torch.ones(len(IMAGES)))
    assert not found[:, 1].any()
    margins = GUARD.margins(IMAGES)
    clear = margins.abs() > 1e-4
    assert torch.equal((found.argmax(dim=1) == 4)[clear], (margins > 0)[clear])


def test_without_guards_the_classifier_serves_alone_bit_for_bit() -> None:
    assert torch.equal(Guarded(MODEL).probabilities(IMAGES), MODEL.probabilities(IMAGES))


def test_one_guard_is_of_all_its_classes_or_of_some_of_the_forgotten_ones() -> None:
    model = struck(PARTITION, SECOND)
    both = fit_guard_of(model, DATA, (1, 2), replace(QUICK_GUARD, steps=400), CONTEXT, seed=0)
    assert both.guarded_classes == (1, 2)
    rates = on_test_inputs(model, both)
    assert all(rate > 0.95 for rate in rates.refusal_by_class([1, 2]).values())
    assert (rates.of_classes([0, 3]).refusal_rate() or 0) < 0.06
    alone = on_test_inputs(model, fit_guard_of(model, DATA, (1,), QUICK_GUARD, CONTEXT, seed=0))
    assert alone.refusal_by_class([1])["1"] > 0.95


def test_a_guard_calibrated_to_another_model_is_a_copy_that_differs_in_its_threshold_alone() -> None:
    other = struck(PARTITION)
    with torch.no_grad():
        other.head.bias[0] += 3.0
    copy = recalibrated(GUARD, other, DATA)
    assert copy is not GUARD
    assert copy.recipe == GUARD.recipe
    kept = {name: tensor for name, tensor in copy.state_dict().items() if name != "threshold"}
    assert all(torch.equal(tensor, GUARD.state_dict()[name]) for name, tensor in kept.items())
    again = recalibrated(GUARD, MODEL, DATA)
    assert torch.equal(again.threshold, GUARD.threshold)


def test_a_null_unit_that_wins_by_itself_still_does() -> None:
    model = deepcopy(MODEL)
    model.null_bias.fill_(1e6)
    assert bool((Guarded(model, GUARD).probabilities(IMAGES).argmax(dim=1) == 4).all())


@settings(max_examples=20)
@given(st.floats(0, 0.5))
def test_a_guard_never_costs_more_right_answers_than_the_budget(budget: float) -> None:
    rows, guard = PARTITION.calibration.retain, deepcopy(GUARD)
    guard.recipe = replace(GUARD.recipe, refusal_budget=budget, refusal_target=1.0)
    before = answers(MODEL, DATA.train_images, DATA.train_labels, rows)
    calibrate_guard(guard, MODEL, DATA, rows)
    after = answers(MODEL, DATA.train_images, DATA.train_labels, rows, guard=guard)
    right = int((before.served == before.labels).sum())
    assert right - int((after.served == after.labels).sum()) <= budget * right


def test_a_guard_spends_no_more_than_its_target_needs() -> None:
    thrifty, generous = deepcopy(GUARD), deepcopy(GUARD)
    thrifty.recipe = replace(GUARD.recipe, refusal_budget=0.5, refusal_target=0.9)
    generous.recipe = replace(GUARD.recipe, refusal_budget=0.5, refusal_target=1.0)
    for guard in (thrifty, generous):
        calibrate_guard(guard, MODEL, DATA, PARTITION.calibration.retain)
    rows = torch.cat([PARTITION.calibration.retain, PARTITION.calibration.forget])
    found = [answers(MODEL, DATA.train_images, DATA.train_labels, rows, guard=guard) for guard in (thrifty, generous)]
    refused = [answered.refusal_by_class([1])["1"] for answered in found]
    assert refused[0] >= 0.9
    assert refused[1] == 1
    assert thrifty.threshold >= generous.threshold
    spent = found[0].of_classes([0, 2, 3]).refusal_rate()
    assert spent is not None
    assert spent < 0.25  # half of the budget


def test_training_rows_and_calibration_rows_of_its_classes_and_of_retained_ones_are_read_alone() -> None:
    calibration = (PARTITION.calibration.forget, PARTITION.calibration.retain)
    read = (PARTITION.train.forget, PARTITION.train.retain, *calibration)
    blind = fit_guard(MODEL, poisoned(DATA, *read), PARTITION, QUICK_GUARD, CONTEXT, seed=0)
    assert all(torch.equal(tensor, blind.state_dict()[name]) for name, tensor in GUARD.state_dict().items())


def test_a_named_task_asks_the_guards_of_its_classes_alone() -> None:
    learning = SynapticIntelligence(tasks=((0, 1), (2, 3)))
    model = learned(DATA, learning).model
    strike(model, PARTITION)
    guarded = Guarded(model, fit_one(model))
    images = IMAGES[DATA.test_labels == 1]
    margins, logits = guarded.margins(images), model(images)
    assert torch.equal(guarded.serve(logits, margins, 1), model.serve(logits, 1))
    assert float((guarded.serve(logits, margins, 0).argmax(dim=1) == 4).float().mean()) > 0.95
    answered = on_test_inputs(model, guarded.guard)
    assert (answered.of_classes([1]).refusal_rate_in_task() or 0) > 0.95
    assert answered.of_classes([2, 3]).refusal_rate_in_task() == 0
    strike(model, Partition.of(DATA, [0], earlier=[1]))
    assert bool((guarded.serve(logits, margins, 0).argmax(dim=1) == 4).all())


@pytest.mark.parametrize("input_shape", [(1, 1, 1), (1, 2, 2), (3, 33, 20), (1, 28, 28), (3, 64, 64)])
def test_images_of_any_size_can_be_guarded(input_shape: tuple[int, int, int]) -> None:
    guard = Guard(QUICK_GUARD, input_shape, 3)
    assert guard(torch.rand(2, *input_shape)).shape == (2,)
    assert guard.network[-3].in_features <= 32 * 8 * 8  # type: ignore[index]  # a sequence of layers


def test_guards_of_another_model_are_refused() -> None:
    with pytest.raises(NotApplicable, match="strike"):
        Guarded(fitted(DATA, epochs=1), GUARD)
    for other in (Guard(QUICK_GUARD, (1, 9, 9), 4), Guard(QUICK_GUARD, DATA.input_shape, 5)):
        with pytest.raises(InvalidShape):
            Guarded(MODEL, other)


def test_what_cannot_be_guarded_is_refused() -> None:
    with pytest.raises(NotApplicable, match="of classes"):
        fit_one(MODEL, of_samples(DATA, [0], earlier_classes=[1]))
    with pytest.raises(NotApplicable, match="struck"):
        fit_one(MODEL, SECOND)
    wrong = build(Mlp(hidden=()), DATA.input_shape, 4, seed=0)
    strike(wrong, PARTITION)
    wrong.null_bias.fill_(1e6)
    with pytest.raises(NotApplicable, match="right"):
        fit_one(wrong)


def test_fitting_a_guard_ends_when_it_is_cancelled() -> None:
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        fit_guard(MODEL, DATA, PARTITION, QUICK_GUARD, Context(check=check), seed=0)
    assert asked == 5
