"""Weight editing: the output rows of the forgotten classes, and the hidden weights that matter to them alone."""

from __future__ import annotations

import torch
from torch import Tensor

from app.specs.learning import Progressive, forgotten_tasks
from app.specs.methods.edit import EditSettings, Strategy
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.growing import NO_TASK, owners
from app.unlearning.methods.importance import hidden_weights
from app.unlearning.methods.method import Computed
from app.unlearning.methods.weight_choice import choose_weights


def compute(case: Case, settings: EditSettings, context: Context, *, seed: int) -> Computed:
    """Replace weights of the original in place, and strike the classes to forget: their output rows are among these.

    Hidden weights are chosen on the weights as they are before anything is replaced. The importance of tasks that are
    wholly forgotten now is not kept: it would be a trace of them.
    """
    context.report(0.0, "editing", "choosing and replacing weights")
    model, partition = case.original, case.partition
    choice = choose_weights(case, settings, context, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    replaced = replace_output_rows(model, partition.forget_classes, settings.strategy, generator)
    weights = hidden_weights(model)
    for name, positions in choice.positions.items():
        if settings.selection == "l2_shrink":
            _shrink(weights[name], positions, settings.shrink)
        else:
            _replace(weights[name], positions, settings.strategy, generator)
        replaced[name] = len(positions)
    model.mark_forgotten(partition.forget_classes)
    gone = forgotten_tasks(model.learning.tasks, partition.forgotten_classes)
    return Computed(
        model,
        settings={},
        importance={task: held for task, held in case.parent.importance.items() if task not in gone},
        told={"replaced": replaced},
        struck=True,
        importance_histogram=choice.importance_histogram,
    )


@torch.no_grad()
def replace_output_rows(
    model: Classifier, classes: tuple[int, ...], strategy: Strategy, generator: torch.Generator
) -> dict[str, int]:
    """Replace, in place, the weight rows and biases of these classes; gives the number of values by parameter name.

    In a growing network a row keeps its zeros where it has no connections, which is to the units of later tasks.
    `random` draws each row, bias included, from the normal distribution with the row's own mean and standard deviation:
    drawn from another distribution, for example one of positive mean, the row would win every argmax.
    """
    weight, bias = model.head.weight, model.head.bias
    connected = _connected(model)
    for number in classes:
        units = connected[number]
        row = torch.cat([weight[number, units], bias[number].unsqueeze(0)])  # connected weights [K], then the bias
        new = replacement(row, strategy, generator)
        weight[number, units], bias[number] = new[:-1], new[-1]
    return {"head.weight": int(connected[list(classes)].sum()), "head.bias": len(classes)}


def _connected(model: Classifier) -> Tensor:
    """Which features each output row reads, bool [C, D]: all of them, or all but later tasks' in a growing network."""
    if isinstance(model.learning, Progressive):
        return (owners(model)["head.weight"] != NO_TASK).to(model.head.weight.device)
    return torch.ones_like(model.head.weight, dtype=torch.bool)


def replacement(values: Tensor, strategy: Strategy, generator: torch.Generator) -> Tensor:
    """What takes the place of these values, float32 [K]: zeros, or draws from N(mean, std) of the values."""
    if strategy == "zero" or len(values) == 0:
        return torch.zeros_like(values)
    noise = torch.randn(len(values), generator=generator).to(values.device)
    return values.mean() + values.std(correction=0) * noise


@torch.no_grad()
def _replace(weight: Tensor, positions: Tensor, strategy: Strategy, generator: torch.Generator) -> None:
    """Replace the values of a weight, of any shape, at flat positions, int64 [K], in place."""
    places = torch.unravel_index(positions, weight.shape)  # positions count in logical order, whatever the layout
    weight[places] = replacement(weight[places], strategy, generator)


@torch.no_grad()
def _shrink(weight: Tensor, positions: Tensor, factor: float) -> None:
    """Multiply the values of a weight, of any shape, at flat positions, int64 [K], in place."""
    weight[torch.unravel_index(positions, weight.shape)] *= factor
