from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from app.errors import NotApplicable
from app.specs.architectures import Mlp, Torchvision
from app.specs.methods.edit import EditSettings
from app.specs.refusing import Refusal
from app.unlearning.case import Case, Parent
from app.unlearning.context import Cancelled, Context
from app.unlearning.data import Dataset
from app.unlearning.judging.measurements import answers
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.methods import edit
from app.unlearning.partition import Partition
from app.unlearning.refusing.refusal import (
    FORGET_BATCH,
    LEAST_SPENT,
    RETAIN_BATCH,
    calibrate,
    fit_refusal,
    push,
    refusal_threshold,
)
from app.unlearning.refusing.refusal import _PushBatches as PushBatches
from tests.unit.unlearning.blobs import CPU, blobs, edit_of, everything, fitted, same_bits
from tests.unit.unlearning.methods.settings import poisoned

DATA = blobs(noise=70)
PARTITION = Partition.of(DATA, [1])
MODEL = fitted(DATA)


def struck(data: Dataset = DATA, model: Classifier = MODEL, *classes: int) -> Classifier:
    """A copy whose classes (1, if none are named) are zeroed and struck; its refusal is not fitted."""
    fresh = build(Mlp(hidden=(32,)), data.input_shape, data.num_classes, seed=0)
    fresh.load_state_dict(model.state_dict())
    for number in classes or (1,):
        partition = Partition.of(data, [number], fresh.forgotten_classes)
        edit.compute(Case(Parent(fresh), data, partition), EditSettings(scope="output"), Context(), seed=0)
    return fresh


SCORES = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=300).map(torch.tensor)


@given(SCORES, st.floats(0, 0.5))
def test_without_forgotten_inputs_the_threshold_is_the_loosest_within_its_budget(scores: Tensor, budget: float) -> None:
    threshold = refusal_threshold(scores, [], budget, 1.0)
    assert int((scores < threshold).sum()) <= budget * len(scores)
    looser = threshold + 3e-4 * (1 + abs(threshold))
    assert int((scores < looser).sum()) > budget * len(scores) - 1


APART = st.lists(st.integers(-50, 50), min_size=1, max_size=60).map(lambda found: torch.tensor(found).float())
"""Scores that a clearance for rounding cannot mix up."""


@given(APART, st.lists(APART, min_size=1, max_size=3), st.floats(0, 0.5), st.floats(0.01, 1))
def test_a_threshold_costs_no_more_than_its_target_needs_and_never_more_than_its_budget(
    right: Tensor, forgotten: list[Tensor], budget: float, target: float
) -> None:
    def reached(threshold: float) -> bool:
        return all(int((scores < threshold).sum()) >= target * len(scores) for scores in forgotten)

    threshold = refusal_threshold(right, forgotten, budget, target)
    lost = right[right < threshold]
    assert len(lost) <= budget * len(right)
    if len(lost) > LEAST_SPENT * len(right):  # refusing the dearest of these no more would miss the target
        assert not reached(float(lost.max()))
    if not reached(threshold):  # refusing the next one, too, would cost more than the budget
        next_one = right[right >= threshold].min()
        assert int((right <= next_one).sum()) > budget * len(right)


def test_a_small_share_is_always_spent() -> None:
    right, forgotten = torch.arange(2000.0), torch.full((50,), -5.0)
    threshold = refusal_threshold(right, [forgotten], budget=0.005, target=0.99)
    assert int((right < threshold).sum()) == 3  # .0015 of 2,000
    assert int((right < refusal_threshold(right, [forgotten], budget=0.001, target=0.99)).sum()) == 2


def test_what_costs_as_much_and_refuses_more_is_preferred() -> None:
    right, forgotten = torch.tensor([5.0, 6.0, 7.0]), torch.tensor([0.0, 1.0, 2.0, 4.0])
    threshold = refusal_threshold(right, [forgotten], budget=0.5, target=0.5)
    assert threshold == pytest.approx(5.0, abs=1e-3)


@settings(max_examples=20)
@given(st.floats(0, 0.5))
def test_refusals_never_cost_more_right_answers_than_the_budget(budget: float) -> None:
    model = struck()
    rows = PARTITION.calibration.retain
    model.null_bias.fill_(-torch.inf)
    found = answers(model, DATA.train_images, DATA.train_labels, rows)
    right = int((found.served == found.labels).sum())
    calibrate(model, DATA, rows, budget, CPU)
    found = answers(model, DATA.train_images, DATA.train_labels, rows)
    assert right - int((found.served == found.labels).sum()) <= budget * right


@pytest.mark.parametrize("refusal", ["none", "calibrate"])
def test_without_push_no_weight_is_touched(refusal: Refusal) -> None:
    model = struck()
    before = everything(model)
    fit_refusal(model, DATA, PARTITION, edit_of(1, refusal=refusal).refusing, Context())
    same = {name for name, tensor in model.state_dict().items() if torch.equal(tensor, before[name])}
    expected = set(before) if refusal == "none" else set(before) - {"null_bias"}
    assert same == expected


def test_push_refuses_the_class_and_keeps_the_others() -> None:
    model = struck()
    fit_refusal(model, DATA, PARTITION, edit_of(1).refusing, Context())
    found = answers(model, DATA.test_images, DATA.test_labels, torch.arange(len(DATA.test_labels)))
    refused, false = found.of_classes([1]).refusal_rate(), found.of_classes([0, 2, 3]).refusal_rate()
    assert refused is not None
    assert refused > 0.95
    assert false is not None
    assert false < 0.05


def test_push_looks_at_calibration_rows_of_forgotten_classes_and_calibrate_does_not() -> None:
    thresholds: dict[Refusal, list[Tensor]] = {"push": [], "calibrate": []}
    for refusal, found in thresholds.items():
        for data in (
            DATA,
            poisoned(DATA, PARTITION.train.forget, PARTITION.train.retain, PARTITION.calibration.retain),
        ):
            model = struck()
            fit_refusal(model, data, PARTITION, edit_of(1, refusal=refusal, push_steps=20).refusing, Context())
            found.append(model.null_bias)
    assert torch.equal(*thresholds["calibrate"])
    assert not torch.equal(*thresholds["push"])


def test_a_pushed_class_without_calibration_rows_is_refused_within_the_whole_budget() -> None:
    gone = torch.isin(DATA.calibration_rows, PARTITION.calibration.forget)
    data = replace(DATA, calibration_rows=DATA.calibration_rows[~gone], forgotten_rows=PARTITION.calibration.forget)
    model, generous = struck(), struck()
    fit_refusal(model, data, PARTITION, edit_of(1, push_steps=20).refusing, Context())
    push(generous, data, PARTITION, edit_of(1, push_steps=20).refusing, Context())
    calibrate(generous, data, PARTITION.calibration.retain, 0.01, CPU)
    assert torch.equal(model.null_bias, generous.null_bias)


@pytest.mark.parametrize("strategy", ["zero", "random"])
def test_push_leaves_the_output_rows_of_forgotten_classes_as_they_are(strategy: str) -> None:
    model = struck()
    if strategy == "random":
        with torch.no_grad():
            model.head.weight[1] = torch.linspace(-1, 1, 32)
    rows = everything(model)
    push(model, DATA, PARTITION, edit_of(1, push_steps=20).refusing, Context())
    assert torch.equal(model.head.weight[1], rows["head.weight"][1])
    assert torch.equal(model.head.bias[1], rows["head.bias"][1])
    assert not torch.equal(model.head.weight[0], rows["head.weight"][0])


def test_push_leaves_the_statistics_of_batch_norm_alone() -> None:
    data = blobs(rows=60)
    model = build(Torchvision("resnet18"), data.input_shape, 4, seed=0)
    model.mark_forgotten([1])
    before = everything(model)
    push(model, data, Partition.of(data, [1]), edit_of(1, push_steps=2).refusing, Context())
    statistics = [name for name in before if "running" in name or "num_batches" in name]
    assert statistics
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in statistics)
    assert not model.training


def test_push_is_deterministic_by_seed() -> None:
    models = []
    for seed in (1, 1, 2):
        torch.rand(seed)
        models.append(struck())
        push(models[-1], DATA, PARTITION, edit_of(1, push_steps=5, seed=seed).refusing, Context())
    assert same_bits(models[0], models[1])
    assert not same_bits(models[0], models[2])


@given(st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=30)
def test_every_forgotten_class_is_drawn_equally_often(num_forgotten: int, seed: int) -> None:
    data = blobs(num_classes=6, rows=120, size=2)
    partition = Partition.of(data, [0], range(1, num_forgotten))
    batches = PushBatches(data, partition, seed)
    rows = torch.cat([batches.draw() for _ in range(num_forgotten)])
    assert bool(torch.isin(rows, data.train_rows).all())
    counts = torch.bincount(data.train_labels[rows], minlength=6)
    assert counts[:num_forgotten].tolist() == [FORGET_BATCH] * num_forgotten
    assert int(counts[num_forgotten:].sum()) == RETAIN_BATCH * num_forgotten


def test_more_classes_than_forgotten_images_per_step_all_have_their_turn() -> None:
    data = blobs(num_classes=80, rows=8000, size=2)
    batches = PushBatches(data, Partition.of(data, range(70)), seed=0)
    drawn = torch.cat([batches.draw() for _ in range(70)])
    assert torch.bincount(data.train_labels[drawn])[:70].tolist() == [FORGET_BATCH] * 70


def test_a_model_that_answers_nothing_right_cannot_be_calibrated() -> None:
    model = struck()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 1.0]))
    rows = PARTITION.calibration.retain
    rows = rows[DATA.train_labels[rows] != 3]
    with pytest.raises(NotApplicable, match="right"):
        calibrate(model, DATA, rows, 0.01, CPU)


def test_push_ends_when_it_is_cancelled() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        push(struck(), DATA, PARTITION, edit_of(1, push_steps=10_000).refusing, Context(check=check))
