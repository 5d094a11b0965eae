"""What both published set-ups share: the data, the initial weights, the edits, and how accuracy was counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from app.unlearning.data import Dataset, images_as_float, in_batches
from app.unlearning.methods.edit import replacement
from app.unlearning.partition import rows_of

TASKS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
TASK_NAMES = tuple(" ".join(map(str, classes)) for classes in TASKS)
NUM_CLASSES = 10

Replace = Callable[[Tensor], Tensor]
"""What takes the place of some weights, shaped like them."""


@dataclass(frozen=True)
class TaskData:
    """One task of two digits, from the whole training file, as published: no row is held out."""

    classes: tuple[int, ...]
    train_images: Tensor
    """float32 [N, 784] in 0..1."""
    train_labels: Tensor
    """int64 [N], digits."""
    test_images: Tensor
    """float32 [M, 784] in 0..1."""
    test_labels: Tensor
    """int64 [M], digits."""


@dataclass(frozen=True)
class Share:
    """Accuracy on one task, counted in two ways."""

    first_index: float
    """As published: of several outputs with the highest value the first one is the answer."""
    no_tie: float
    """An answer shared by several outputs is none, hence never right."""


def split_tasks(data: Dataset) -> list[TaskData]:
    """The five tasks of MNIST."""
    return [_task_data(data, classes) for classes in TASKS]


def _task_data(data: Dataset, classes: tuple[int, ...]) -> TaskData:
    train = rows_of(data.train_labels, torch.arange(len(data.train_labels)), classes)
    test = rows_of(data.test_labels, torch.arange(len(data.test_labels)), classes)
    return TaskData(
        classes,
        images_as_float(data.train_images[train]).flatten(1),
        data.train_labels[train],
        images_as_float(data.test_images[test]).flatten(1),
        data.test_labels[test],
    )


def network(widths: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them, weights and biases as Keras draws them by default."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layer = nn.Linear(fan_in, fan_out)
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def head_of(net: nn.Sequential) -> nn.Linear:
    """The output layer."""
    head = net[-1]
    assert isinstance(head, nn.Linear)
    return head


def shuffled_batches(rows: int, size: int, epochs: int, generator: torch.Generator) -> Iterable[Tensor]:
    """Row numbers, int64, of every batch of every epoch; the last batch of an epoch may be smaller."""
    for _ in range(epochs):
        yield from in_batches(torch.randperm(rows, generator=generator), size)


@torch.inference_mode()
def accuracy(net: nn.Module, task: TaskData, competing: Iterable[int] = range(NUM_CLASSES)) -> Share:
    """Accuracy on the task's test images, these outputs competing; without any, no answer is right."""
    struck = torch.ones(NUM_CLASSES, dtype=torch.bool)
    struck[list(competing)] = False
    if struck.all():
        return Share(0.0, 0.0)
    logits = net(task.test_images).masked_fill(struck, -torch.inf)
    highest, answers = logits.max(dim=1)
    right = answers == task.test_labels
    alone = (logits == highest.unsqueeze(1)).sum(dim=1) == 1
    return Share(float(right.double().mean()), float((right & alone).double().mean()))


@torch.no_grad()
def with_outputs_replaced(net: nn.Sequential, classes: Iterable[int], replace: Replace) -> nn.Sequential:
    """A copy in which the row of each of these outputs, float32 [D + 1], its bias last, is replaced."""
    changed = deepcopy(net)
    head = head_of(changed)
    for number in classes:
        new = replace(torch.cat([head.weight[number], head.bias[number].unsqueeze(0)]))
        head.weight[number], head.bias[number] = new[:-1], new[-1]
    return changed


def seeded(seed: int) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


def published_random(generator: torch.Generator) -> Replace:
    """Draws as published: from the normal distribution of mean 1 - mean and deviation 1 + deviation of the values."""

    def draw(values: Tensor) -> Tensor:
        if values.numel() == 0:
            return values
        return 1 - values.mean() + (1 + values.std(correction=0)) * torch.randn(values.shape, generator=generator)

    return draw


def bias_apart(replace: Replace) -> Replace:
    """As published: the bias of an output is replaced by itself, not together with its weights."""
    return lambda row: torch.cat([replace(row[:-1]), replace(row[-1:])])


def own_random(generator: torch.Generator) -> Replace:
    """Draws as the product does: from the normal distribution of the values' own mean and deviation."""
    return lambda row: replacement(row, "random", generator)


def zeros_of(net: nn.Module) -> dict[str, int]:
    """How many values are exactly zero, by parameter name, where there are any."""
    counts = {name: int((values == 0).sum()) for name, values in net.named_parameters()}
    return {name: count for name, count in counts.items() if count}
