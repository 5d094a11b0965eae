"""Networks that grow: every task adds units to every hidden layer; they read units of earlier tasks, never the reverse.

So whatever a later task learns, what an earlier one computes stays as it was (Rusu et al. 2016, arXiv 1606.04671, with
one matrix per layer in place of columns and adapters). The matrices have room for connections from later units to
earlier ones. These do not exist: their values are zero and stay zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from app.errors import NotApplicable
from app.specs.learning import unit_blocks

if TYPE_CHECKING:
    from app.unlearning.learning.architectures import Classifier

NO_TASK = -1
"""The owner of a connection that does not exist, and of the output row of a class that belongs to no task yet."""


def owners(model: Classifier) -> dict[str, Tensor]:
    """Which task each value belongs to: int64 tensors by parameter name, shaped like the parameters.

    Raises NotApplicable for networks that do not grow.
    """
    incoming = torch.zeros(1, dtype=torch.int64)  # inputs count as the first task's: every unit reads them
    found: dict[str, Tensor] = {}
    for (name, layer), units in zip(_hidden_layers(model), _unit_owners(model), strict=True):
        for parameter, values in layer.named_parameters():
            columns = units if parameter.startswith("weight_hh") else incoming
            found[f"body.{name}.{parameter}"] = _owners_of(values, units, columns)
        incoming = units
    rows = torch.where(model.task_classes.any(dim=0), model.task_classes.int().argmax(dim=0), NO_TASK).cpu()
    found["head.weight"], found["head.bias"] = _owners_of(model.head.weight, rows, incoming), rows
    return found


@torch.no_grad()
def cut_missing_connections(model: Classifier) -> None:
    """Make the values that no task owns zero, in place."""
    for name, owner in owners(model).items():
        model.get_parameter(name)[owner == NO_TASK] = 0.0


class FrozenBlocks:
    """Holds what belongs to other tasks bitwise where it is, whatever the optimizer does."""

    def __init__(self, model: Classifier, task: int) -> None:
        """`model` is on the device that it is fitted on."""
        self._parameters = [
            (model.get_parameter(name), (owner == task).to(model.head.weight.device))
            for name, owner in owners(model).items()
        ]
        self._held = [parameter.detach().clone() for parameter, _ in self._parameters]

    def after_backward(self) -> None:
        """Nothing is to be done before the step."""

    @torch.no_grad()
    def after_step(self) -> None:
        """Put back what belongs to other tasks."""
        for (parameter, own), held in zip(self._parameters, self._held, strict=True):
            torch.where(own, parameter, held, out=parameter)


def _hidden_layers(model: Classifier) -> list[tuple[str, nn.Module]]:
    """The layers of the body that have units, from the input to the output, by name in it."""
    kinds = (nn.Linear, nn.Conv2d, nn.RNNBase)
    return [(name, module) for name, module in model.body.named_modules() if isinstance(module, kinds)]


def _unit_owners(model: Classifier) -> list[Tensor]:
    """For each hidden layer the task that each of its units came with, int64 [width], ascending."""
    blocks = unit_blocks(model.architecture, model.learning)
    if not blocks:
        raise NotApplicable("This network does not grow with its tasks, so no task owns a part of it.")
    return [
        torch.cat([torch.full((end - start,), task) for task, (start, end) in enumerate(layer)])
        for layer in zip(*blocks, strict=True)
    ]


def _owners_of(values: Tensor, units: Tensor, columns: Tensor) -> Tensor:
    """The owner of each value of a parameter: its unit's task, where the connection exists; no unit reads a later one.

    All are int64: `units` the task of each unit, `columns` that of each unit that is read; the result is shaped like
    `values`. Recurrent layers have their units once per gate, and what follows a convolution has each channel once per
    position.
    """
    rows = units.repeat(len(values) // len(units))  # owner of each row of the parameter
    if values.dim() == 1:
        return rows
    columns = columns.repeat_interleave(values.shape[1] // len(columns))  # owner of each column
    owner = torch.where(columns <= rows.unsqueeze(1), rows.unsqueeze(1), NO_TASK)  # [rows, columns]
    return owner.view(*owner.shape, *[1] * (values.dim() - 2)).expand_as(values)
