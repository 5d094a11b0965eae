from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from app.errors import NotApplicable
from app.specs.architectures import Architecture, Cnn, Gru, Lstm, Mlp, Torchvision
from app.specs.learning import Learning, Progressive, SynapticIntelligence, Tasks
from app.specs.training import Training
from app.unlearning.context import Cancelled, Context
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.continual import (
    AccuracyMatrix,
    Learned,
    average_forgetting,
    backward_transfer,
    learn_tasks,
    with_tasks,
)
from app.unlearning.learning.growing import owners
from tests.unit.unlearning.blobs import blobs, everything, same_bits

TASKS: Tasks = ((0, 1), (2, 3), (4, 5))
DATA = blobs(num_classes=6, rows=720, noise=15)
HARD = blobs(num_classes=6, rows=720, noise=80)
STATIC, GROWING = SynapticIntelligence(tasks=TASKS), Progressive(tasks=TASKS)
TRAINING = Training(epochs=12, batch_size=20, learning_rate=0.01, schedule="constant")
SMALL = [Mlp(hidden=(16,)), Cnn(channels=(4,), hidden=16), Gru(hidden=(24,)), Lstm(hidden=(24,))]


def fresh(learning: Learning, architecture: Architecture | None = None) -> Classifier:
    return build(architecture or Mlp(hidden=(16,)), DATA.input_shape, 6, 0, learning)


def learn(model: Classifier, tasks: Sequence[int] = range(3), after: Learned | None = None) -> Learned:
    importance = after.importance if after else {}
    known = range(min(tasks)) if after else ()
    return learn_tasks(
        model, DATA, DATA.train_rows, tasks, TRAINING, known=known, importance=importance, context=Context()
    )


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize("learning", [STATIC, GROWING])
def test_every_task_is_learned(learning: Learning, architecture: Architecture) -> None:
    learned = learn(fresh(learning, architecture))
    assert [[accuracy is not None for accuracy in row] for row in learned.accuracy_matrix] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert min(learned.accuracy_matrix[task][task] or 0.0 for task in range(3)) > 0.9
    assert learned.epochs == 3 * TRAINING.epochs


def test_importance_holds_what_would_be_lost_without_it() -> None:
    forgetting = []
    for c in (0.0, 1.0):
        model = fresh(replace(STATIC, c=c), Mlp(hidden=(8,)))
        learned = learn_tasks(
            model, HARD, HARD.train_rows, range(3), TRAINING, known=(), importance={}, context=Context()
        )
        forgetting.append(average_forgetting(learned.accuracy_matrix) or 0.0)
    assert forgetting[1] < forgetting[0] - 0.02


def test_a_torchvision_network_learns_tasks_by_importance() -> None:
    data = blobs(num_classes=4, rows=160)
    model = build(
        Torchvision("shufflenet_v2_x0_5"), data.input_shape, 4, 0, SynapticIntelligence(tasks=((0, 1), (2, 3)))
    )
    training = replace(TRAINING, epochs=2)
    learned = learn_tasks(model, data, data.train_rows, (0, 1), training, known=(), importance={}, context=Context())
    assert {task: set(importance) for task, importance in learned.importance.items()} == {
        task: set(dict(model.named_parameters())) for task in (0, 1)
    }


def test_in_a_growing_network_earlier_tasks_keep_their_answers_exactly() -> None:
    learned = learn(fresh(GROWING))
    for column in zip(*learned.accuracy_matrix, strict=True):
        assert len({accuracy for accuracy in column if accuracy is not None}) == 1


def test_the_same_seed_gives_the_same_bits_and_the_model_given_is_not_touched() -> None:
    for learning in (STATIC, GROWING):
        model = fresh(learning)
        before = everything(model)
        first, second = learn(model), learn(model)
        assert same_bits(first.model, second.model)
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
        assert not same_bits(first.model, model)


def test_tasks_learned_in_two_runs_are_learned_as_in_one() -> None:
    at_once = learn(fresh(STATIC))
    first = learn(fresh(replace(STATIC, tasks=TASKS[:2])), range(2))
    then = learn(with_tasks(first.model, TASKS, seed=9), [2], after=first)
    assert same_bits(at_once.model, then.model)
    assert at_once.accuracy_matrix[2] == then.accuracy_matrix[0]
    for task, importance in at_once.importance.items():
        assert all(torch.equal(omega, then.importance[task][name]) for name, omega in importance.items())


@pytest.mark.parametrize("architecture", SMALL)
def test_growing_by_a_task_keeps_every_value_of_the_earlier_ones(architecture: Architecture) -> None:
    first = learn(fresh(replace(GROWING, tasks=TASKS[:2]), architecture), range(2)).model
    first.mark_forgotten([1])
    first.null_bias.fill_(0.5)
    first.task_null_biases.copy_(torch.tensor([1.0, 2.0]))
    further = with_tasks(first, TASKS, seed=3)
    images = torch.rand((7, *DATA.input_shape))
    with torch.no_grad():
        assert torch.allclose(further(images)[:, :4], first(images)[:, :4], atol=1e-5)
        for task in (None, 0, 1):
            served, was = further.probabilities(images, task), first.probabilities(images, task)
            assert torch.allclose(served[:, 6], was[:, 6], atol=1e-5) or task is None
    for name, owner in owners(first).items():
        now = owners(further)[name]
        old = first.get_parameter(name)[owner >= 0]
        assert torch.equal(further.get_parameter(name)[(now >= 0) & (now < 2)], old), name
    assert further.task_null_biases.tolist() == [1.0, 2.0, 0.0]


def test_a_static_network_for_further_tasks_is_the_same_network() -> None:
    first = learn(fresh(replace(STATIC, tasks=TASKS[:2])), range(2)).model
    further = with_tasks(first, TASKS, seed=3)
    assert all(torch.equal(values, further.get_parameter(name)) for name, values in first.named_parameters())
    assert further.learned_classes == (0, 1, 2, 3, 4, 5)
    assert first.learned_classes == (0, 1, 2, 3)


@pytest.mark.parametrize("tasks", [((2, 3), (0, 1), (4, 5)), ((0, 1),)])
def test_the_order_of_learned_tasks_never_changes(tasks: Tasks) -> None:
    with pytest.raises(NotApplicable, match="never changes"):
        with_tasks(fresh(replace(STATIC, tasks=TASKS[:2])), tasks, seed=0)


def test_forgotten_classes_are_left_out_and_forgotten_tasks_passed_over() -> None:
    for learning in (STATIC, GROWING):
        model = fresh(learning)
        model.mark_forgotten([0, 1, 3])
        learned = learn(model)
        assert learned.accuracy_matrix == [[None, 1.0, None], [None, 1.0, pytest.approx(1.0, abs=0.1)]]
        head = learned.model.head
        assert torch.equal(head.weight[[0, 1, 3]], model.head.weight[[0, 1, 3]])


def test_importance_is_kept_by_task_and_grows_when_a_task_is_learned_again() -> None:
    first = learn(fresh(STATIC))
    again = learn_tasks(
        first.model,
        DATA,
        DATA.train_rows,
        [1],
        TRAINING,
        known=range(3),
        importance=first.importance,
        context=Context(),
    )
    assert all((again.importance[1][name] >= omega).all() for name, omega in first.importance[1].items())
    assert all(torch.equal(again.importance[0][name], omega) for name, omega in first.importance[0].items())


def test_a_cancellation_between_two_tasks_ends_the_learning() -> None:
    seen: list[str] = []

    def progress(fraction: float, stage: str, message: str) -> None:
        assert 0 <= fraction <= 1
        seen.append(message)

    def check() -> None:
        if any(message.startswith("task 1") for message in seen):
            raise Cancelled

    model = fresh(STATIC)
    before = everything(model)
    with pytest.raises(Cancelled):
        learn_tasks(
            model,
            DATA,
            DATA.train_rows,
            range(3),
            TRAINING,
            known=(),
            importance={},
            context=Context(progress=progress, check=check),
        )
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(message.startswith("task 2") for message in seen)


def test_what_cannot_be_learned_is_refused() -> None:
    def refuse(model: Classifier, training: Training, match: str) -> None:
        with pytest.raises(NotApplicable, match=match):
            learn_tasks(model, DATA, DATA.train_rows, range(3), training, known=(), importance={}, context=Context())

    refuse(fresh(STATIC), replace(TRAINING, early_stopping=1), "early_stopping")
    nothing_left = fresh(STATIC)
    nothing_left.mark_forgotten(range(6))
    refuse(nothing_left, TRAINING, "no rows")


def test_forgetting_and_transfer_compare_the_end_with_the_best_and_with_the_first() -> None:
    matrix: AccuracyMatrix = [[0.9, None, None], [0.95, 0.8, None], [0.7, 0.85, 1.0]]
    assert average_forgetting(matrix) == pytest.approx(((0.95 - 0.7) + (0.8 - 0.85)) / 2)
    assert backward_transfer(matrix) == pytest.approx(((0.7 - 0.9) + (0.85 - 0.8)) / 2)
    alone_or_none: list[AccuracyMatrix] = [[], [[0.9]], [[0.9, None]]]
    for alone in alone_or_none:
        assert average_forgetting(alone) is None
        assert backward_transfer(alone) is None


def test_forgotten_tasks_are_not_measured_as_forgetting() -> None:
    matrix: AccuracyMatrix = [[0.9, None], [0.8, 0.9], [None, 0.9, 1.0]]
    assert average_forgetting(matrix) == pytest.approx(0.0)
    assert backward_transfer(matrix) == pytest.approx(0.0)


def test_a_task_is_not_compared_with_what_is_left_of_it() -> None:
    matrix: AccuracyMatrix = [
        [0.9, None, None],
        [0.8, 0.9, None],
        [0.7, 1.0, 0.9],
    ]  # of the second a class was forgotten
    assert average_forgetting(matrix, without=[1]) == pytest.approx(0.9 - 0.7)
    assert backward_transfer(matrix, without=[1]) == pytest.approx(0.7 - 0.9)
    assert average_forgetting(matrix, without=[0, 1]) is None
