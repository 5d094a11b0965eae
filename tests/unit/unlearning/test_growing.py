from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from app.errors import NotApplicable
from app.specs.architectures import Architecture, Cnn, Gru, Lstm, Mlp
from app.specs.learning import Progressive, SynapticIntelligence
from app.specs.training import Training
from app.unlearning.context import Context
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.growing import NO_TASK, FrozenBlocks, owners
from app.unlearning.learning.training import fit
from app.unlearning.partition import rows_of
from tests.unit.unlearning.blobs import blobs, everything

DATA = blobs(num_classes=6, rows=240)
LEARNING = Progressive(tasks=((0, 1), (4,), (3, 2)))  # class 5 belongs to no task
GROWABLE = [
    (Mlp(hidden=(4, 3)), (2, 5)),
    (Cnn(channels=(2, 3), hidden=4), (1, 2, 3)),
    (Gru(hidden=(3, 4)), (2, 1)),
    (Lstm(hidden=(4,)), (3,)),
]


def grown(architecture: Architecture, growth: tuple[int, ...] = ()) -> Classifier:
    return build(architecture, DATA.input_shape, 6, 0, replace(LEARNING, growth=growth))


def randomise(model: Classifier, task: int) -> None:
    """Replace everything that a task owns."""
    with torch.no_grad():
        for name, owner in owners(model).items():
            model.get_parameter(name)[owner == task] = torch.randn(int((owner == task).sum()))


def test_a_unit_reads_the_inputs_and_the_units_of_its_own_and_earlier_tasks() -> None:
    owner = owners(grown(Mlp(hidden=(2, 1)), (1, 2)))
    assert owner["body.1.weight"].tolist() == [[task] * 64 for task in (0, 0, 1, 2)]
    assert owner["body.1.bias"].tolist() == [0, 0, 1, 2]
    assert owner["body.3.weight"].tolist() == [
        [0, 0, -1, -1],
        [1, 1, 1, -1],
        [1, 1, 1, -1],
        [2, 2, 2, 2],
        [2, 2, 2, 2],
    ]
    # Output rows by class: 0 and 1 of task 0, 2 and 3 of task 2, 4 of task 1, 5 of none.
    assert owner["head.weight"].tolist() == [
        [0, -1, -1, -1, -1],
        [0, -1, -1, -1, -1],
        [2, 2, 2, 2, 2],
        [2, 2, 2, 2, 2],
        [1, 1, 1, -1, -1],
        [-1, -1, -1, -1, -1],
    ]
    assert owner["head.bias"].tolist() == [0, 0, 2, 2, 1, -1]


@pytest.mark.parametrize(("architecture", "growth"), GROWABLE)
def test_a_fresh_network_has_zeros_where_a_connection_is_missing_and_nowhere_else(
    architecture: Architecture, growth: tuple[int, ...]
) -> None:
    model = grown(architecture, growth)
    for name, owner in owners(model).items():
        assert torch.equal(model.get_parameter(name) == 0, owner == NO_TASK), name


@pytest.mark.parametrize(("architecture", "growth"), GROWABLE)
def test_whatever_a_later_task_owns_the_answers_of_earlier_ones_stay(
    architecture: Architecture, growth: tuple[int, ...]
) -> None:
    model = grown(architecture, growth)
    images = torch.rand((5, *DATA.input_shape))
    with torch.no_grad():
        before = model(images)
        randomise(model, 2)
        assert torch.equal(model(images)[:, [0, 1, 4]], before[:, [0, 1, 4]])
        assert not torch.allclose(model(images)[:, [2, 3]], before[:, [2, 3]])
        randomise(model, 0)
        assert not torch.allclose(model(images)[:, 4], before[:, 4])  # later tasks build on earlier ones


@pytest.mark.parametrize(("architecture", "growth"), GROWABLE)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_learning_a_task_moves_its_own_values_alone_bit_for_bit(
    architecture: Architecture, growth: tuple[int, ...], optimizer: str
) -> None:
    model = grown(architecture, growth)
    before = everything(model)
    training = Training(epochs=1, batch_size=16, optimizer=optimizer, weight_decay=0.1)  # type: ignore[arg-type]  # by parameter
    rows = rows_of(DATA.train_labels, DATA.train_rows, [4])
    fit(model, DATA, rows, training, Context(), protection=FrozenBlocks(model, 1))
    # A task of one class has no loss, so here only weight decay moves anything; a task of two shows both.
    rows = rows_of(DATA.train_labels, DATA.train_rows, [2, 3])
    after_first = everything(model)
    fit(model, DATA, rows, training, Context(), protection=FrozenBlocks(model, 2))
    for name, owner in owners(model).items():
        now = model.get_parameter(name)
        assert torch.equal(now[owner != 2], after_first[name][owner != 2]), name
        assert torch.equal(after_first[name][owner != 1], before[name][owner != 1]), name
        assert owner.ndim == 1 or not torch.equal(now[owner == 2], after_first[name][owner == 2]), name


@pytest.mark.parametrize("learning", [SynapticIntelligence(tasks=((0, 1),)), None])
def test_nothing_is_owned_in_a_network_that_does_not_grow(learning: SynapticIntelligence | None) -> None:
    model = build(Mlp(), (1, 4, 4), 5, 0, learning) if learning else build(Mlp(), (1, 4, 4), 5, 0)
    with pytest.raises(NotApplicable, match="does not grow"):
        owners(model)
