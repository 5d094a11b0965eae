from __future__ import annotations

import importlib
from copy import deepcopy

import pytest
import torch
from torch.nn import functional

from app.specs.methods.ssd import SsdParameters
from app.unlearning.case import Case, Parent
from app.unlearning.methods import METHODS
from app.unlearning.methods.ssd import IMPORTANCE_BATCH, dampen, head_moments, importance, moments
from app.unlearning.methods.tuning import Judge
from app.unlearning.partition import Partition
from tests.oracles import batch_fisher, loop_gradients, looped_dampening
from tests.unit.unlearning.blobs import blobs, everything, fitted
from tests.unit.unlearning.methods.settings import CONTEXT, fitted_without

DATA = blobs(rows=400)
MODEL = fitted(DATA)
PARTITION = Partition.of(DATA, [1])


def test_the_fisher_information_of_the_head_is_that_of_a_loop_over_images() -> None:
    model = fitted_without(DATA, [3])
    rows = Partition.of(DATA, [1], earlier=[3]).train.retain[:30]
    weight, bias = torch.zeros_like(model.head.weight), torch.zeros_like(model.head.bias)
    for row in rows.tolist():
        logits = model(DATA.train_images[row : row + 1].float() / 255).masked_fill(model.forgotten, -torch.inf)
        loss = functional.cross_entropy(logits, DATA.train_labels[row : row + 1])
        gradients = torch.autograd.grad(loss, [model.head.weight, model.head.bias])
        weight += gradients[0].square() / len(rows)
        bias += gradients[1].square() / len(rows)
    found = head_moments(model, DATA, rows, CONTEXT).square
    torch.testing.assert_close(found["head.weight"], weight, rtol=1e-4, atol=1e-10)
    torch.testing.assert_close(found["head.bias"], bias, rtol=1e-4, atol=1e-10)


def test_weights_are_shrunk_by_the_ratio_of_importance_and_the_others_stay() -> None:
    model = fitted(DATA)
    before = everything(model)["head.bias"]
    counts = dampen(
        model,
        {"head.bias": torch.tensor([8.0, 8.0, 1.0, 0.0])},
        {"head.bias": torch.tensor([1.0, 0.0, 1.0, 0.0])},
        selection=4.0,
        dampening=2.0,
    )
    assert counts == {"head.bias": 2}
    assert torch.equal(model.head.bias, before * torch.tensor([0.25, 0.0, 1.0, 1.0]))


def test_dampening_never_enlarges_a_weight() -> None:
    model = fitted(DATA)
    before = everything(model)["head.bias"]
    dampen(model, {"head.bias": torch.ones(4)}, {"head.bias": torch.full((4,), 0.5)}, selection=1.0, dampening=10.0)
    assert torch.equal(model.head.bias, before)


def test_what_is_dampened_is_that_of_the_paper_with_the_importance_to_every_row() -> None:
    data = blobs(rows=2000, noise=90)
    original, partition = fitted(data), Partition.of(data, [1])
    forget = partition.train.forget
    retained = Judge(Case(Parent(original), data, partition), 0.01, CONTEXT, seed=3, reads_forget_set=True).rows
    assert len(retained) > 1000
    parameters = SsdParameters(selection=3.0, dampening=1.2)
    computed = METHODS["ssd"].compute(Case(Parent(deepcopy(original)), data, partition), parameters, CONTEXT, seed=3)
    ours, theirs = (
        loop_gradients(original, data.train_images[rows], data.train_labels[rows])
        for rows in (forget, torch.cat([forget, retained]))
    )
    assert sum(computed.settings["dampened"].values()) > 50
    for name in ("body.1.weight", "head.weight", "head.bias"):
        of_forget, of_all = (
            (gradients[name].square().mean(dim=0) + (IMPORTANCE_BATCH - 1) * gradients[name].mean(dim=0).square())
            / IMPORTANCE_BATCH
            for gradients in (ours, theirs)
        )
        expected = looped_dampening(original.get_parameter(name), of_forget, of_all, 3.0, 1.2)
        torch.testing.assert_close(computed.model.get_parameter(name), expected, rtol=1e-3, atol=1e-5)
    assert torch.equal(computed.model.get_parameter("body.1.bias"), original.get_parameter("body.1.bias"))


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_importance_is_that_of_every_batch_there_is(batch_size: int) -> None:
    rows = PARTITION.train.retain[:6]
    found = importance(moments(MODEL, DATA, rows, CONTEXT), batch_size)
    gradients = loop_gradients(MODEL, DATA.train_images[rows], DATA.train_labels[rows])
    assert set(found) == {"body.1.weight", "head.weight", "head.bias"}
    for name, important in found.items():
        torch.testing.assert_close(important, batch_fisher(gradients[name], batch_size), rtol=1e-3, atol=1e-10)


@pytest.mark.parametrize("at_once", [7, 10_000])
def test_how_many_rows_are_read_at_once_does_not_matter(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("app.unlearning.methods.ssd"), "_READ_AT_ONCE", at_once)
    rows = PARTITION.train.retain[:100]
    found = moments(MODEL, DATA, rows, CONTEXT)
    gradients = loop_gradients(MODEL, DATA.train_images[rows], DATA.train_labels[rows])
    for name in ("body.1.weight", "head.weight", "head.bias"):
        torch.testing.assert_close(found.mean[name], gradients[name].mean(dim=0), rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(found.square[name], gradients[name].square().mean(dim=0), rtol=1e-3, atol=1e-10)


@pytest.mark.parametrize("batches", [1, 7])
def test_what_is_told_is_used_and_reported(batches: int) -> None:
    parameters = SsdParameters(selection=5.0 * batches)
    settings = METHODS["ssd"].run(Case(Parent(MODEL), DATA, PARTITION), parameters, CONTEXT, seed=0).settings
    assert settings["selection"] == 5.0 * batches
    assert [entry["selection"] for entry in settings["tried"]] == [5.0 * batches]
    assert set(settings["dampened"]) == {"body.1.weight", "head.weight", "head.bias"}
