"""What holds of every method of the table."""

from __future__ import annotations

import json
from itertools import combinations

import pytest
import torch

from app.errors import NotApplicable
from app.specs.architectures import Architecture, Cnn, Gru, Torchvision
from app.specs.learning import Progressive
from app.specs.methods import METHOD_SPECS, MethodName
from app.unlearning.case import Case, Parent
from app.unlearning.context import Cancelled, Context
from app.unlearning.judging.measurements import answers, weights_changed
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.methods import METHODS
from app.unlearning.partition import Partition, rows_of
from app.unlearning.sample_partition import of_samples
from tests.unit.unlearning.blobs import blobs, everything, fitted, same_bits
from tests.unit.unlearning.methods.settings import (
    BLIND_METHODS,
    CONTEXT,
    NAMES,
    SAMPLE_METHODS,
    before_striking,
    defaults,
    divergence,
    few_steps,
    fitted_without,
    forget,
    poisoned,
    probabilities,
    retrained,
)

DATA = blobs(rows=400)
FEW = blobs(rows=80)
MODEL = fitted(DATA, epochs=8)
PARTITION = Partition.of(DATA, [1])
SAMPLES = of_samples(DATA, DATA.train_rows[:20].tolist())


@pytest.mark.parametrize("name", NAMES)
def test_the_original_is_untouched_and_the_same_seed_gives_the_same_bits(name: MethodName) -> None:
    before = everything(MODEL)
    global_state = torch.random.get_rng_state()
    first = forget(name, MODEL, DATA, PARTITION)
    assert torch.equal(torch.random.get_rng_state(), global_state)
    torch.rand(3)  # the global generator stands elsewhere
    second = forget(name, MODEL, DATA, PARTITION)
    assert same_bits(first.model, second.model)
    assert first.settings == second.settings
    assert json.loads(json.dumps(first.settings))["seed"] == 3
    assert all(torch.equal(tensor, before[key]) for key, tensor in MODEL.state_dict().items())
    assert all(parameter.requires_grad for parameter in MODEL.parameters())
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("name", NAMES)
def test_classes_to_forget_are_struck_and_the_others_still_told_apart(name: MethodName) -> None:
    result = forget(name, MODEL, DATA, PARTITION)
    assert result.model.forgotten_classes == (1,)
    assert not result.model.training
    assert all(parameter.requires_grad for parameter in result.model.parameters())
    assert not result.model.head.weight[1].any()
    assert not result.model.head.bias[1].any()
    assert answers(result.model, DATA.train_images, DATA.train_labels, PARTITION.train.forget).accuracy() == 0
    accuracy = answers(result.model, DATA.train_images, DATA.train_labels, PARTITION.calibration.retain).accuracy()
    assert accuracy is not None
    assert accuracy > 0.95
    hidden = {key: count for key, count in weights_changed(MODEL, result.model).items() if key.startswith("body")}
    assert sum(hidden.values()) > 0
    assert result.spent.wall > 0


@pytest.mark.parametrize("name", NAMES)
def test_forgetting_comes_nearer_a_retrained_model_than_seeds_differ_before_anything_is_struck(
    name: MethodName,
) -> None:
    rows = PARTITION.calibration.forget
    references = [probabilities(retrained(MODEL, DATA, PARTITION, seed), DATA, rows) for seed in (11, 12)]
    spread = max(divergence(*pair) for pair in combinations(references, 2))
    was, now = (
        max(divergence(probabilities(model, DATA, rows), reference) for reference in references)
        for model in (MODEL, before_striking(name, MODEL, DATA, PARTITION))
    )
    assert now < was - 2 * spread


@pytest.mark.parametrize("name", NAMES)
def test_rows_outside_the_partition_are_never_read(name: MethodName) -> None:
    model = fitted_without(DATA, [3])
    partition = Partition.of(DATA, [1], earlier=[3])
    read = (partition.train.forget, partition.train.retain, partition.calibration.retain)
    result = forget(name, model, DATA, partition)
    assert same_bits(result.model, forget(name, model, poisoned(DATA, *read), partition).model)
    assert result.model.forgotten_classes == (1, 3)


@pytest.mark.parametrize("name", BLIND_METHODS)
def test_what_must_not_look_at_the_forget_set_does_not(name: MethodName) -> None:
    for partition in (PARTITION, SAMPLES):
        blind = poisoned(DATA, partition.train.retain, partition.calibration.retain)
        assert same_bits(forget(name, MODEL, DATA, partition).model, forget(name, MODEL, blind, partition).model)


@pytest.mark.parametrize("name", SAMPLE_METHODS)
def test_samples_are_forgotten_without_striking_a_class(name: MethodName) -> None:
    result = forget(name, MODEL, DATA, SAMPLES)
    assert result.model.forgotten_classes == ()
    assert sum(weights_changed(MODEL, result.model).values()) > 0
    accuracy = answers(result.model, DATA.train_images, DATA.train_labels, SAMPLES.calibration.retain).accuracy()
    assert accuracy is not None
    assert accuracy > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_a_method_ends_when_it_is_cancelled(name: MethodName) -> None:
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked == 4:
            raise Cancelled

    before = everything(MODEL)
    with pytest.raises(Cancelled):
        forget(name, MODEL, DATA, PARTITION, context=Context(check=check))
    assert all(torch.equal(tensor, before[key]) for key, tensor in MODEL.state_dict().items())
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("name", NAMES)
def test_progress_never_goes_back_and_ends_with_all(name: MethodName) -> None:
    fractions: list[float] = []
    context = Context(progress=lambda fraction, _stage, _message: fractions.append(fraction))
    forget(name, MODEL, DATA, PARTITION, context=context)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        *((name, Cnn(channels=(4,), hidden=16)) for name in NAMES),
        *((name, Gru(hidden=(16,))) for name in NAMES if METHOD_SPECS[name].recurrent),
        # Each way to change a network with batch norm once: a step of it takes long.
        *((name, Torchvision("shufflenet_v2_x0_5")) for name in ("euk", "finetune", "projection")),
    ],
)
def test_other_networks_forget_too(name: MethodName, architecture: Architecture) -> None:
    model = build(architecture, FEW.input_shape, 4, seed=0)
    partition = Partition.of(FEW, [2])
    result = METHODS[name].run(Case(Parent(model), FEW, partition), few_steps(name), CONTEXT, seed=3)
    assert result.model.forgotten_classes == (2,)
    assert all(bool(tensor.isfinite().all()) for tensor in result.model.state_dict().values())


@pytest.mark.parametrize("name", NAMES)
def test_nonsense_is_refused_with_every_reason_at_once(name: MethodName) -> None:
    learning = Progressive(tasks=((0, 1), (2, 3)), growth=(4,))
    growing = build(Gru(hidden=(4,)), DATA.input_shape, 4, seed=0, learning=learning)
    wrong = defaults("ssd" if name == "scrub" else "scrub")
    calibration = rows_of(DATA.train_labels, DATA.calibration_rows, [0, 1, 2])
    nothing = of_samples(DATA, calibration[:3].tolist(), earlier_classes=[3])
    with pytest.raises(NotApplicable) as refused:
        METHODS[name].run(Case(Parent(growing), DATA, nothing), wrong, CONTEXT, seed=0)
    details = " ".join(fault.detail for fault in refused.value.errors)
    expected = ["Parameters must be", "nothing to unlearn", "forgot earlier"]
    expected += [] if name == "retrain" else ["learning mode"]
    expected += [] if METHOD_SPECS[name].recurrent else ["recurrent"]
    expected += [] if name in SAMPLE_METHODS else ["take another one for samples"]
    assert all(reason in details for reason in expected)
    assert len(refused.value.errors) == len(expected)


def test_a_partition_of_another_model_is_refused() -> None:
    other: Classifier = fitted_without(DATA, [3])
    with pytest.raises(NotApplicable, match="forgot earlier"):
        forget("finetune", other, DATA, PARTITION)


def test_a_single_retained_row_is_refused() -> None:
    rest = DATA.train_rows[1:].tolist()
    with pytest.raises(NotApplicable, match="Fewer than two"):
        forget("retrain", MODEL, DATA, of_samples(DATA, rest))
