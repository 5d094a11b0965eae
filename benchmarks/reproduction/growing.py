"""The published growing set-up: 784-50-50-10, 50 and 50 units more per task, and what is then replaced.

Self-contained on purpose: the dense variant as published, in which new units of the first layer also feed old ones of
the second, and every task is tested on its own checkpoint. Indices of tasks count from 0.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from app.unlearning.data import Dataset
from app.unlearning.judging.measurements import sparsity
from benchmarks.reproduction.setting import (
    NUM_CLASSES,
    TASKS,
    Replace,
    TaskData,
    accuracy,
    bias_apart,
    network,
    own_random,
    published_random,
    seeded,
    shuffled_batches,
    split_tasks,
    with_outputs_replaced,
    zeros_of,
)

UNITS = 50
LEARNING_RATE, BATCH_SIZE, EPOCHS = 0.01, 128, 10
_HIDDEN = (0, 2)
"""Places of the hidden layers in the network."""


@dataclass(frozen=True)
class GrowingRun:
    """One training over all tasks."""

    checkpoints: list[nn.Sequential]
    """The network after each task."""
    seconds: float


def train(tasks: list[TaskData], seed: int, epochs: int = EPOCHS) -> GrowingRun:
    """Learn the tasks one after the other, each in a wider network around the old one, which is put back every batch."""
    start = time.perf_counter()
    generator = seeded(seed)
    checkpoints: list[nn.Sequential] = []
    for index, task in enumerate(tasks):
        units = (index + 1) * UNITS
        net = network((784, units, units, NUM_CLASSES), generator)
        old = checkpoints[-1] if checkpoints else None
        _put_back(net, old)
        optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, eps=1e-7)
        for rows in shuffled_batches(len(task.train_labels), BATCH_SIZE, epochs, generator):
            loss = functional.cross_entropy(net(task.train_images[rows]), task.train_labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
            optimizer.step()
            _put_back(net, old)
        checkpoints.append(net)
    return GrowingRun(checkpoints, time.perf_counter() - start)


@torch.no_grad()
def _put_back(net: nn.Sequential, old: nn.Sequential | None) -> None:
    if old is None:
        return
    for values, kept in zip(net.parameters(), old.parameters(), strict=True):
        values[tuple(slice(size) for size in kept.shape)] = kept


def run(data: Dataset, seed: int, epochs: int = EPOCHS) -> dict[str, Any]:
    """Every figure of one seed, as JSON values."""
    tasks = split_tasks(data)
    trained = train(tasks, seed, epochs)
    checkpoints, last = trained.checkpoints, trained.checkpoints[-1]
    return {
        "seed": seed,
        "seconds": trained.seconds,
        "num_parameters": sum(values.numel() for values in last.parameters()),
        "own_checkpoint": [accuracy(net, task).first_index for net, task in zip(checkpoints, tasks, strict=True)],
        "zeros": zeros_of(last),
        "never_moved": _never_moved(trained, tasks),
        "sparsity": sparsity(last),
        "sparsity_outputs_zeroed": [sparsity(_outputs(last, index, torch.zeros_like)) for index in range(len(tasks))],
        "sparsity_own_checkpoint_zeroed": [
            sparsity(_block(_outputs(net, index, torch.zeros_like), index, torch.zeros_like))
            for index, net in enumerate(checkpoints)
        ],
        "zeroed": [_forgotten(checkpoints, tasks, index, torch.zeros_like) for index in range(len(tasks))],
        "published_random": [
            _forgotten(checkpoints, tasks, index, published_random(seeded(seed))) for index in range(len(tasks))
        ],
        "own_random": [
            accuracy(_outputs(net, index, own_random(seeded(seed))), tasks[index]).first_index
            for index, net in enumerate(checkpoints)
        ],
        "deployed": _deployed(last, tasks),
        "without_block": [_without_block(last, tasks, index) for index in range(len(tasks))],
    }


def _outputs(net: nn.Sequential, index: int, replace: Replace) -> nn.Sequential:
    return with_outputs_replaced(net, TASKS[index], replace)


def _forgotten(
    checkpoints: Sequence[nn.Sequential], tasks: list[TaskData], index: int, replace: Replace
) -> dict[str, Any]:
    """The task replaced in its own checkpoint, outputs alone and with its block; the others each in their own."""
    task = tasks[index]
    own = _outputs(checkpoints[index], index, bias_apart(replace))
    block = _block(own, index, replace)
    others = [
        accuracy(_outputs(net, index, bias_apart(replace)), tasks[other]).first_index
        for other, net in enumerate(checkpoints)
        if other != index
    ]
    return {
        "task": index,
        "outputs": accuracy(own, task).first_index,
        "block": accuracy(block, task).first_index,
        "block_no_tie": accuracy(block, task).no_tie,
        "others": others,
    }


@torch.no_grad()
def _block(net: nn.Sequential, index: int, replace: Replace) -> nn.Sequential:
    """A copy with the task's block replaced by the published slices, which begin one row and one column too early.

    Of the first layer they hold the last pixel alone, which is 0 in every image. Those of the first task, which has no
    checkpoint before it, end one too early. (The published random run sliced even less of that task.)
    """
    changed = deepcopy(net)
    for place in _HIDDEN:
        layer = changed[place]
        assert isinstance(layer, nn.Linear)
        units, inputs = layer.weight.shape
        if index == 0:
            rows, columns, biases = slice(units - 1), slice(inputs - 1), slice(None)
        else:
            before = units - UNITS
            rows, biases = slice(before - 1, None), slice(before, None)
            columns = slice(inputs - 1 if place == 0 else inputs - UNITS - 1, None)
        layer.weight[rows, columns] = replace(layer.weight[rows, columns])
        layer.bias[biases] = replace(layer.bias[biases])
    return changed


@torch.inference_mode()
def _never_moved(run: GrowingRun, tasks: list[TaskData]) -> list[int]:
    """Of each bias of the second layer that is zero, on how many images its unit fires: 0 for a dead unit.

    Training images of the task that the unit came with, in the checkpoint of that task.
    """
    last = run.checkpoints[-1][2]
    assert isinstance(last, nn.Linear)
    fired = []
    for unit in (last.bias == 0).nonzero().flatten().tolist():
        task = unit // UNITS
        activity = run.checkpoints[task][:4](tasks[task].train_images)[:, unit]
        fired.append(int((activity > 0).sum()))
    return fired


def _deployed(net: nn.Sequential, tasks: list[TaskData]) -> dict[str, list[float]]:
    """The one network that there is at the end, in three ways of asking it."""
    return {
        "without_task": [accuracy(net, task).first_index for task in tasks],
        "outputs_of_task": [accuracy(net, task, task.classes).first_index for task in tasks],
        "units_up_to_task": [
            accuracy(_cut(net, index), task, task.classes).first_index for index, task in enumerate(tasks)
        ],
    }


@torch.no_grad()
def _cut(net: nn.Sequential, index: int, removed: int | None = None) -> nn.Sequential:
    """A copy in which units of tasks after `index`, and of the task `removed`, feed nothing."""
    changed = deepcopy(net)
    for place in (2, 4):
        layer = changed[place]
        assert isinstance(layer, nn.Linear)
        layer.weight[:, (index + 1) * UNITS :] = 0.0
        if removed is not None:
            layer.weight[:, removed * UNITS : (removed + 1) * UNITS] = 0.0
    return changed


def _without_block(net: nn.Sequential, tasks: list[TaskData], removed: int) -> list[float]:
    """Accuracy on each task, named, in the one network without the units of one of them."""
    return [accuracy(_cut(net, index, removed), task, task.classes).first_index for index, task in enumerate(tasks)]
