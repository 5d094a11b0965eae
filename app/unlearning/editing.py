"""Weight editing: the output rows of the forgotten classes, and the hidden weights that matter to them alone."""

from __future__ import annotations

import torch
from torch import Tensor

from app.specs import SHARE, Edit, Strategy
from app.unlearning.architectures import Classifier
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.importance import hidden_weights, importance_ratio
from app.unlearning.partition import Partition


def edit_weights(
    model: Classifier, data: Dataset, partition: Partition, edit: Edit, context: Context
) -> dict[str, int]:
    """Replace, in place, the weights of the classes to forget; how many values were replaced, by parameter name.

    Hidden weights are chosen on the weights as they are before anything is replaced. The classes are not yet struck.
    """
    chosen: dict[str, Tensor] = {}
    if edit.scope == "network":
        ratios = importance_ratio(model, data, partition, edit, context)
        share = SHARE[model.learning.mode] if edit.parameters.share is None else edit.parameters.share
        chosen = {name: top_share(ratio, share) for name, ratio in ratios.items()}
    generator = torch.Generator().manual_seed(edit.seed)
    replaced = replace_output_rows(model, partition.forget_classes, edit.strategy, generator)
    weights = hidden_weights(model)
    for name, positions in chosen.items():
        if edit.parameters.selection == "l2_shrink":
            _shrink(weights[name], positions, edit.parameters.shrink)
        else:
            _replace(weights[name], positions, edit.strategy, generator)
        replaced[name] = len(positions)
    return replaced


def top_share(ratio: Tensor, share: float) -> Tensor:
    """Flat positions, int64, of the given share of a layer's weights with the highest ratio; never one of ratio 0."""
    flat = ratio.flatten()
    highest = flat.argsort(descending=True, stable=True)[: round(share * len(flat))]
    return highest[flat[highest] > 0]


@torch.no_grad()
def replace_output_rows(
    model: Classifier, classes: tuple[int, ...], strategy: Strategy, generator: torch.Generator
) -> dict[str, int]:
    """Replace, in place, the weight rows and biases of these classes; how many values, by parameter name.

    `random` draws each row, bias included, from the normal distribution with the row's own mean and standard
    deviation: from a distribution unlike it, for example of positive mean, the row would win every argmax.
    """
    weight, bias = model.head.weight, model.head.bias
    for number in classes:
        row = torch.cat([weight[number], bias[number].unsqueeze(0)])
        new = replacement(row, strategy, generator)
        weight[number], bias[number] = new[:-1], new[-1]
    return {"head.weight": len(classes) * weight.shape[1], "head.bias": len(classes)}


def replacement(values: Tensor, strategy: Strategy, generator: torch.Generator) -> Tensor:
    """What takes the place of these values, float32 [K]: zeros, or draws from N(mean, std) of the values."""
    if strategy == "zero" or len(values) == 0:
        return torch.zeros_like(values)
    noise = torch.randn(len(values), generator=generator).to(values.device)
    return values.mean() + values.std(correction=0) * noise


@torch.no_grad()
def _replace(weight: Tensor, positions: Tensor, strategy: Strategy, generator: torch.Generator) -> None:
    places = torch.unravel_index(positions, weight.shape)  # positions count in logical order, whatever the layout
    weight[places] = replacement(weight[places], strategy, generator)


@torch.no_grad()
def _shrink(weight: Tensor, positions: Tensor, factor: float) -> None:
    weight[torch.unravel_index(positions, weight.shape)] *= factor
