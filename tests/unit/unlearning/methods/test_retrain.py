from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from app.errors import NotApplicable
from app.specs.architectures import Mlp
from app.specs.learning import Progressive, SynapticIntelligence
from app.specs.methods.retrain import RetrainParameters
from app.specs.training import Training
from app.unlearning.case import Case, Parent
from app.unlearning.judging.measurements import answers
from app.unlearning.learning.architectures import build
from app.unlearning.learning.continual import learn_tasks
from app.unlearning.methods import METHODS
from app.unlearning.partition import Partition
from app.unlearning.sample_partition import of_samples
from tests.unit.unlearning.blobs import blobs, fitted, same_bits
from tests.unit.unlearning.methods.settings import CONTEXT, TRAINING, forget, poisoned

DATA = blobs(rows=400)
MODEL = fitted(DATA)
PARTITION = Partition.of(DATA, [1])


def test_of_the_original_no_value_is_used() -> None:
    other = fitted(DATA, seed=5)
    assert same_bits(forget("retrain", MODEL, DATA, PARTITION).model, forget("retrain", other, DATA, PARTITION).model)


def test_forgetting_in_two_steps_gives_the_model_of_one() -> None:
    first = forget("retrain", MODEL, DATA, PARTITION).model
    second = forget("retrain", first, DATA, Partition.of(DATA, [2], earlier=[1])).model
    assert same_bits(second, forget("retrain", MODEL, DATA, Partition.of(DATA, [1, 2])).model)


def test_early_stopping_does_not_look_at_forgotten_calibration_rows() -> None:
    held_out = DATA.calibration_rows[:20].tolist()
    partition = of_samples(DATA, [*held_out, int(DATA.train_rows[0])])
    parameters = RetrainParameters(training=replace(TRAINING, epochs=8, learning_rate=0.05, early_stopping=2))
    found = [
        METHODS["retrain"].run(Case(Parent(MODEL), data, partition), parameters, CONTEXT, seed=1).model
        for data in (DATA, poisoned(DATA, partition.train.retain, partition.calibration.retain))
    ]
    assert same_bits(*found)


def test_without_a_recipe_nothing_is_trained() -> None:
    with pytest.raises(NotApplicable, match="Say how to train"):
        METHODS["retrain"].run(Case(Parent(MODEL), DATA, PARTITION), RetrainParameters(), CONTEXT, seed=0)


@pytest.mark.parametrize(
    "learning",
    [SynapticIntelligence(tasks=((0, 1), (2, 3))), Progressive(tasks=((0, 1), (2, 3)), growth=(16,))],
)
def test_networks_of_tasks_learn_the_retained_classes_of_each_anew(
    learning: SynapticIntelligence | Progressive,
) -> None:
    training = Training(epochs=6, batch_size=32)
    fresh = build(Mlp(hidden=(16,)), DATA.input_shape, 4, 0, learning)
    original = learn_tasks(
        fresh, DATA, DATA.train_rows, [0, 1], training, known=(), importance={}, context=CONTEXT
    ).model
    result = METHODS["retrain"].run(
        Case(Parent(original), DATA, PARTITION), RetrainParameters(training=training), CONTEXT, seed=4
    )
    assert result.model.learning == learning
    assert result.model.forgotten_classes == (1,)
    assert bool(result.importance) == isinstance(learning, SynapticIntelligence)
    rows = PARTITION.calibration.retain
    logits = result.model(DATA.train_images[rows].float() / 255)
    right = result.model.within_tasks(logits, DATA.train_labels[rows]).argmax(dim=1) == DATA.train_labels[rows]
    assert float(right.double().mean()) > 0.95


def test_the_retain_set_is_learned_as_well_as_by_the_original() -> None:
    model = forget("retrain", MODEL, DATA, PARTITION).model
    test = answers(model, DATA.test_images, DATA.test_labels, PARTITION.test.retain)
    assert test.accuracy() == pytest.approx(1.0, abs=0.03)
    assert torch.equal(model.null_bias, torch.zeros(()))
