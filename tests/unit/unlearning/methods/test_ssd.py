from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from app.method_parameters import SsdParameters
from app.unlearning.methods import METHODS
from app.unlearning.methods.ssd import dampen, head_fisher
from app.unlearning.partition import Partition
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
    found = head_fisher(model, DATA, rows, CONTEXT)
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


@pytest.mark.parametrize("batches", [1, 7])
def test_what_is_told_is_used_and_reported(batches: int) -> None:
    parameters = SsdParameters(selection=5.0 * batches)
    settings = METHODS["ssd"].run(MODEL, DATA, PARTITION, parameters, CONTEXT, seed=0).settings
    assert settings["selection"] == 5.0 * batches
    assert [entry["selection"] for entry in settings["tried"]] == [5.0 * batches]
    assert set(settings["dampened"]) == {"body.1.weight", "head.weight", "head.bias"}
