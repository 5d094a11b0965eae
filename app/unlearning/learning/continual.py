"""Learning tasks one after the other, in one of two ways: a static network with importance, or a growing one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from app.errors import NotApplicable
from app.specs.learning import Progressive, Sisa, Standard, SynapticIntelligence, Tasks
from app.specs.training import Training
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.growing import NO_TASK, FrozenBlocks, owners
from app.unlearning.learning.synaptic_intelligence import Importance, PathIntegral
from app.unlearning.learning.training import Protection, fit, raw_logits
from app.unlearning.partition import rows_of

AccuracyMatrix = list[list[float | None]]
"""A row per learning of a task, in order: the test accuracy on every task known to the model after it, the task named;
None for tasks not learned yet and for wholly forgotten ones."""


@dataclass(frozen=True)
class Learned:
    """What learning some tasks made."""

    model: Classifier
    importance: Importance
    """The importance of a static network: the given one, and that of the tasks learned now; empty for growing
    networks."""
    accuracy_matrix: AccuracyMatrix
    """A row per task learned now."""
    seconds: float
    """Wall seconds of all fits."""
    cpu_seconds: float
    """CPU seconds as in `stopwatch.Spent`."""
    epochs: int
    """Epochs run, over all tasks."""


def with_tasks(model: Classifier, tasks: Tasks, seed: int) -> Classifier:
    """A copy of the network for these tasks, which begin with its own; a growing one gets units for the further ones.

    Everything that the tasks so far use is bitwise as in `model`, which is not touched; new units are drawn from `seed`.
    Raises NotApplicable for networks without tasks, and where the tasks do not begin with those it has.
    """
    learning = model.learning
    if isinstance(learning, Standard | Sisa) or tasks[: len(learning.tasks)] != learning.tasks:
        raise NotApplicable("Further tasks come after those that a network of tasks has; their order never changes.")
    further = build(model.architecture, model.input_shape, model.num_classes, seed, replace(learning, tasks=tasks))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    grown = further.state_dict()
    grown["task_null_biases"][: len(learning.tasks)] = state.pop("task_null_biases")
    if isinstance(learning, Progressive):
        old_owners, new_owners = owners(model), owners(further)
        for name, owner in old_owners.items():
            # Both in the order of rows, and in them of columns: the values of the earlier tasks one by one.
            kept = (new_owners[name] != NO_TASK) & (new_owners[name] < len(learning.tasks))
            grown[name][kept] = state.pop(name)[owner != NO_TASK]
    further.load_state_dict({**grown, **state})
    return further


def learn_tasks(
    model: Classifier,
    data: Dataset,
    rows: Tensor,
    tasks: Sequence[int],
    training: Training,
    *,
    known: Collection[int],
    importance: Importance,
    context: Context,
) -> Learned:
    """Learn these tasks, by index, one after the other from the retained ones of these training rows (int64).

    `model`, which knows the tasks `known` and is not touched, has units and output rows for all of them. The optimizer
    begins anew with every task, whose seed is that of `training` plus its index. A task of which no row is left is
    passed over. Same seed, threads, torch and kind of CPU: same bits. Raises NotApplicable where there are no rows at
    all, and for early stopping: the path to the best epoch would not be the one that was summed.
    """
    model = deepcopy(model).to(context.device)
    rows_of_task = {task: rows_of(data.train_labels, rows, retained_classes(model, task)) for task in tasks}
    to_learn = [task for task in tasks if len(rows_of_task[task])]
    if not to_learn:
        raise NotApplicable("There are no rows to train on.")
    if training.early_stopping:
        raise NotApplicable("Tasks are learned for a fixed number of epochs; leave early_stopping at 0.")
    matrix: AccuracyMatrix = []
    seconds, cpu_seconds, epochs, known = 0.0, 0.0, 0, set(known)
    for done, task in enumerate(to_learn):
        part = _about(task, context.part(done / len(to_learn), (done + 1) / len(to_learn)))
        protection = _protection(model, task, importance)
        seeded = replace(training, seed=training.seed + task)
        fitted = fit(model, data, rows_of_task[task], seeded, part, protection=protection)
        if isinstance(protection, PathIntegral):
            importance = {**importance, task: _added(importance.get(task), protection.importance())}
        known.add(task)
        matrix.append(_accuracies(model, data, known, context.device))
        seconds, cpu_seconds = seconds + fitted.seconds, cpu_seconds + fitted.cpu_seconds
        epochs += fitted.epochs
    return Learned(model, importance, matrix, seconds, cpu_seconds, epochs)


def retained_classes(model: Classifier, task: int) -> tuple[int, ...]:
    """The classes of a task that are not forgotten, ascending."""
    return tuple(model.competing(task).nonzero().flatten().tolist())


def average_forgetting(matrix: AccuracyMatrix, without: Collection[int] = ()) -> float | None:
    """Mean over earlier tasks of how far each fell below its best, at the end (Chaudhry et al. 2018, arXiv 1801.10112).

    The mean is over tasks for which the last row has a figure. The task learned last is left out, and so are the tasks
    `without`, of which a part was forgotten: their accuracies before and after are about different classes. None if
    there is no such task.
    """
    falls = [max(column[:-1]) - column[-1] for column in _histories(matrix, without)]
    return sum(falls) / len(falls) if falls else None


def backward_transfer(matrix: AccuracyMatrix, without: Collection[int] = ()) -> float | None:
    """Mean over earlier tasks of the change since each was learned (Lopez-Paz and Ranzato 2017, arXiv 1706.08840).

    The mean is over the same tasks as in `average_forgetting`; it is negative where later tasks cost earlier ones.
    """
    changes = [column[-1] - column[0] for column in _histories(matrix, without)]
    return sum(changes) / len(changes) if changes else None


def _histories(matrix: AccuracyMatrix, without: Collection[int]) -> list[list[float]]:
    """The accuracies of each task that was known before the last step and still is, since it was learned."""
    tasks = [task for task in range(len(matrix[-1]) if matrix else 0) if task not in without]
    columns = [[row[task] for row in matrix if task < len(row)] for task in tasks]
    known = [[value for value in column if value is not None] for column in columns if column[-1] is not None]
    return [column for column in known if len(column) > 1]


def _protection(model: Classifier, task: int, importance: Importance) -> Protection:
    match model.learning:
        case SynapticIntelligence() as learning:
            others = [values for other, values in importance.items() if other != task]
            return PathIntegral(model, others, learning)
        case Progressive():
            return FrozenBlocks(model, task)
        case Standard() | Sisa():
            raise NotApplicable("This model learns all classes together; it has no tasks.")


def _added(earlier: dict[str, Tensor] | None, now: dict[str, Tensor]) -> dict[str, Tensor]:
    return now if earlier is None else {name: earlier[name] + values for name, values in now.items()}


def _accuracies(model: Classifier, data: Dataset, known: Collection[int], device: torch.device) -> list[float | None]:
    """The accuracy of each task on test images of its retained classes, which alone compete; None if not known."""
    rows = rows_of(
        data.test_labels, torch.arange(len(data.test_labels)), model.competing().nonzero().flatten().tolist()
    )
    labels = data.test_labels[rows]
    logits = raw_logits(model, data.test_images, rows, device).to(device)
    right = model.within_tasks(logits, labels).argmax(dim=1).cpu() == labels  # bool [N]
    among = model.task_classes.cpu()[:, labels]  # bool [T, N]
    return [
        float(right[among[task]].double().mean()) if task in known and among[task].any() else None
        for task in range(len(among))
    ]


def _about(task: int, context: Context) -> Context:
    """The context with messages that name the task."""
    tell = context.progress
    return replace(context, progress=lambda fraction, stage, message: tell(fraction, stage, f"task {task}, {message}"))
