from __future__ import annotations

import pytest
import torch

from app.datasets.loading import load
from app.settings import Settings
from app.specs.architectures import Mlp, Torchvision
from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.steps import STEPS_BETWEEN_CHECKS
from app.specs.training import Training
from app.unlearning.case import Case, Parent
from app.unlearning.learning.architectures import build
from app.unlearning.learning.training import fit
from app.unlearning.methods import METHODS
from app.unlearning.methods.steps import Batches, adam, descend, divergence, refresh_statistics
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs, everything
from tests.unit.unlearning.methods.settings import CONTEXT

DATA = blobs(rows=80)


def test_every_row_comes_once_before_any_comes_again() -> None:
    rows = torch.arange(100, 112)
    batches = Batches(rows, 4, seed=0)
    for _ in range(3):
        drawn = torch.cat([batches.draw() for _ in range(3)])
        assert torch.equal(drawn.sort().values, rows)


def test_batches_are_never_larger_than_what_there_is() -> None:
    assert Batches(torch.tensor([7, 8]), 64, seed=0).draw().sort().values.tolist() == [7, 8]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_descent(loss: float) -> None:
    model = build(Mlp(hidden=(2,)), DATA.input_shape, 4, seed=0)
    taken = descend(adam(model, 0.1), lambda: model.head.bias.sum() * loss, 1000, CONTEXT)
    assert taken == STEPS_BETWEEN_CHECKS


def test_the_divergence_of_equal_answers_is_nothing_and_classes_may_be_ruled_out() -> None:
    logits = torch.randn(5, 3)
    assert float(divergence(logits, logits)) == pytest.approx(0, abs=1e-6)
    ruled_out = logits.masked_fill(torch.tensor([True, False, False]), -torch.inf)
    expected = -(logits.log_softmax(dim=1)[:, 1:].logsumexp(dim=1)).mean()
    assert float(divergence(ruled_out, logits)) == pytest.approx(float(expected), rel=1e-5)


def test_statistics_of_batch_norm_become_those_of_the_given_rows() -> None:
    model = build(Torchvision("resnet18"), DATA.input_shape, 4, seed=0)
    before = everything(model)
    for _ in range(2):  # the second time from other statistics
        refresh_statistics(model, DATA, DATA.train_rows, seed=0, context=CONTEXT)
        assert not any(module.training for module in model.modules())
    first = model.get_submodule("body.conv1")(DATA.train_images[DATA.train_rows].float() / 255)
    torch.testing.assert_close(
        model.state_dict()["body.bn1.running_mean"], first.mean(dim=(0, 2, 3)), atol=1e-5, rtol=1e-3
    )
    assert model.get_submodule("body.bn1").momentum == 0.1
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["salun", "bad_teacher"])
def test_wrong_answers_of_digits_are_learned_within_the_utility_budget(name: MethodName, settings: Settings) -> None:
    data = load("mnist", settings).dataset
    model = build(Mlp(), data.input_shape, data.num_classes, seed=1)
    fit(model, data, data.train_rows, Training(seed=1), CONTEXT)
    partition = Partition.of(data, [2])
    result = METHODS[name].run(Case(Parent(model), data, partition), METHOD_SPECS[name].parameters(), CONTEXT, seed=1)
    assert result.settings["within_budget"]
    assert result.settings["forget_accuracy"] <= 0.05
