"""The published static set-up: 784-50-10, Synaptic Intelligence, five tasks of two digits, and what is then replaced.

Self-contained on purpose: it keeps what the product does differently (see `report`). Indices
of tasks count from 0.
"""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.unlearning.data import Dataset
from app.unlearning.judging.measurements import sparsity
from app.unlearning.methods.weight_choice import top_share
from benchmarks.reproduction.setting import (
    NUM_CLASSES,
    TASKS,
    Replace,
    TaskData,
    accuracy,
    bias_apart,
    head_of,
    network,
    own_random,
    published_random,
    seeded,
    shuffled_batches,
    split_tasks,
    with_outputs_replaced,
)
from benchmarks.tasks.probe import ProbeImages, probe

STRENGTH, XI = 1.0, 1e-3
LEARNING_RATE, BATCH_SIZE, EPOCHS = 1e-3, 1000, 5
FORGOTTEN = 2
"""The task whose hidden weights the published runs replace."""
SHARES = (0.01, 0.05, 0.1, 0.2)
ByTensor = dict[str, Tensor]


@dataclass(frozen=True)
class StaticRun:
    """One training over all tasks."""

    net: nn.Sequential
    logged: list[ByTensor]
    """Ω as the published runs read it: at the last batch of each task, before the update that ends the task."""
    ends: list[ByTensor]
    """Ω after that update."""
    seconds: float


class PathIntegral:
    """Ω as published: one sum over tasks, never below 0, which holds the weights from the second task on."""

    def __init__(self, net: nn.Module) -> None:
        self._parameters = dict(net.named_parameters())
        self.omega = {name: torch.zeros_like(values) for name, values in self._parameters.items()}
        self._begin_task()

    def _begin_task(self) -> None:
        self._start = {name: values.detach().clone() for name, values in self._parameters.items()}
        self._integral = {name: torch.zeros_like(values) for name, values in self._parameters.items()}

    @torch.no_grad()
    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take a step along the gradients of the task's loss and of the surrogate loss, and add to the integral."""
        before = {
            name: (values.detach().clone(), _gradient(values).clone()) for name, values in self._parameters.items()
        }
        for name, values in self._parameters.items():
            _gradient(values).add_(2 * STRENGTH * self.omega[name] * (values - self._start[name]))
        optimizer.step()
        for name, (value, gradient) in before.items():
            self._integral[name] -= gradient * (self._parameters[name] - value)

    @torch.no_grad()
    def end_task(self) -> None:
        """Add what the task needs to Ω."""
        for name, values in self._parameters.items():
            moved = (values - self._start[name]).square() + XI
            self.omega[name] = (self.omega[name] + self._integral[name] / moved).clamp(min=0)
        self._begin_task()


def _gradient(values: nn.Parameter) -> Tensor:
    assert values.grad is not None
    return values.grad


def train(tasks: list[TaskData], seed: int, epochs: int = EPOCHS) -> StaticRun:
    """Learn the tasks one after the other; the optimizer begins anew with each."""
    start = time.perf_counter()
    generator = seeded(seed)
    net = network((784, 50, NUM_CLASSES), generator)
    nn.init.zeros_(head_of(net).weight)
    integral = PathIntegral(net)
    logged, ends = [], []
    for task in tasks:
        optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, eps=1e-7)
        classes = list(task.classes)
        for rows in shuffled_batches(len(task.train_labels), BATCH_SIZE, epochs, generator):
            logits = net(task.train_images[rows])[:, classes]
            loss = functional.cross_entropy(logits, task.train_labels[rows] - classes[0])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
            integral.step(optimizer)
        logged.append(integral.omega)
        integral.omega = dict(integral.omega)
        integral.end_task()
        ends.append(integral.omega)
    return StaticRun(net, logged, ends, time.perf_counter() - start)


def with_task(net: nn.Module, tasks: list[TaskData]) -> list[float]:
    """Accuracy on each task, its outputs competing alone, first index as published."""
    return [accuracy(net, task, task.classes).first_index for task in tasks]


def run(data: Dataset, seed: int, epochs: int = EPOCHS) -> dict[str, Any]:
    """Every figure of one seed, as JSON values."""
    tasks = split_tasks(data)
    trained = train(tasks, seed, epochs)
    net, probe_images = trained.net, ProbeImages.of(data, seed)
    return {
        "seed": seed,
        "seconds": trained.seconds,
        "with_task": with_task(net, tasks),
        "without_task": [accuracy(net, task).first_index for task in tasks],
        "zeroed": [_outputs_replaced(net, tasks, index, torch.zeros_like) for index in range(len(tasks))],
        "published_random": [
            _redrawn(net, tasks, index, bias_apart(published_random(seeded(seed)))) for index in range(len(tasks))
        ],
        "own_random": [_outputs_replaced(net, tasks, index, own_random(seeded(seed))) for index in range(len(tasks))],
        "logged_nonzero": [_nonzero(omega) for omega in trained.logged],
        "end_nonzero": [_nonzero(omega) for omega in trained.ends],
        "stages": _stages(trained, tasks, seed),
        "ranked": _ranked(trained, tasks, probe_images),
        "probe": _probed(net, probe_images),
        "probe_untrained": _probed(network((784, 50, NUM_CLASSES), seeded(seed)), probe_images),
    }


def _outputs_replaced(net: nn.Sequential, tasks: list[TaskData], index: int, replace: Replace) -> dict[str, Any]:
    """The outputs of one task replaced: accuracy on every task, with the task named and without."""
    changed = with_outputs_replaced(net, TASKS[index], replace)
    kept = set(range(NUM_CLASSES)) - set(TASKS[index])
    return {
        "task": index,
        "with_task": with_task(changed, tasks),
        "with_task_no_tie": [accuracy(changed, task, task.classes).no_tie for task in tasks],
        "without_task": [accuracy(changed, task).first_index for task in tasks],
        "without_task_struck": [accuracy(changed, task, kept).no_tie for task in tasks],
    }


def _redrawn(net: nn.Sequential, tasks: list[TaskData], index: int, replace: Replace) -> dict[str, Any]:
    """As published: the outputs are drawn again, from what the last draw left, before each task is evaluated."""
    with_names, without = [], []
    changed = net
    for task in tasks:
        changed = with_outputs_replaced(changed, TASKS[index], replace)
        with_names.append(accuracy(changed, task, task.classes).first_index)
        without.append(accuracy(changed, task).first_index)
    return {"task": index, "with_task": with_names, "without_task": without}


def _nonzero(omega: ByTensor) -> int:
    return sum(int((values != 0).sum()) for values in omega.values())


def _stages(run: StaticRun, tasks: list[TaskData], seed: int) -> list[dict[str, Any]]:
    """The published stages one upon the other: outputs; hidden weights with Ω = 0; those `most important`."""
    before, at = run.logged[FORGOTTEN - 1], run.logged[FORGOTTEN]
    no_importance = {name: at[name] == 0 for name in ("0.weight", "0.bias")}
    most_important = {name: (before[name] == 0) & (at[name] != 0) for name in ("0.weight", "0.bias")}
    generator = seeded(seed)

    def drawn_one_by_one(values: Tensor) -> Tensor:
        return 1 - values + torch.randn(values.shape, generator=generator)

    zeroed = randomised = with_outputs_replaced(run.net, TASKS[FORGOTTEN], torch.zeros_like)
    found = [{"stage": "outputs", "zero": with_task(zeroed, tasks), "sparsity": sparsity(zeroed)}]
    for stage, masks in (("no importance", no_importance), ("most important", most_important)):
        zeroed = _hidden_replaced(zeroed, masks, torch.zeros_like)
        shares = []
        for task in tasks:  # drawn again before each task is evaluated, as published
            randomised = _hidden_replaced(randomised, masks, drawn_one_by_one)
            shares.append(accuracy(randomised, task, task.classes).first_index)
        accuracies = {"zero": with_task(zeroed, tasks), "random": shares}
        found.append({"stage": stage, **accuracies, "sparsity": sparsity(zeroed)})
    return found


@torch.no_grad()
def _hidden_replaced(net: nn.Sequential, masks: ByTensor, replace: Replace) -> nn.Sequential:
    changed = deepcopy(net)
    for name, mask in masks.items():
        values = changed.get_parameter(name)
        values[mask] = replace(values[mask])
    return changed


def _ranked(run: StaticRun, tasks: list[TaskData], images: ProbeImages) -> list[dict[str, Any]]:
    """Ω at the true end of each task, the task's own part of it over the sum of all, highest first."""
    own_share = _own_share([omega["0.weight"] for omega in run.ends])
    outputs = with_outputs_replaced(run.net, TASKS[FORGOTTEN], torch.zeros_like)
    found = []
    for share in SHARES:
        mask = torch.zeros(own_share.numel(), dtype=torch.bool)
        mask[top_share(own_share, share)] = True
        changed = _hidden_replaced(outputs, {"0.weight": mask.view(own_share.shape)}, torch.zeros_like)
        found.append({"share": share, "with_task": with_task(changed, tasks), "probe": _probed(changed, images)})
    return found


def _own_share(omegas: list[Tensor]) -> Tensor:
    """Of each weight's importance the share, 0..1, that the forgotten task brought; 0 where there is none."""
    parts = torch.stack(omegas).diff(dim=0, prepend=torch.zeros_like(omegas[0]).unsqueeze(0)).clamp(min=0)
    total = parts.sum(dim=0)
    return torch.where(total > 0, parts[FORGOTTEN] / total, 0.0)


def _probed(net: nn.Sequential, images: ProbeImages) -> dict[str, float]:
    return asdict(probe(lambda pixels: net[:-1](pixels.flatten(1)), images, TASKS[FORGOTTEN]))
