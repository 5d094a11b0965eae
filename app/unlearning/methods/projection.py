"""Projection: take out of every layer the directions that forgotten inputs have and retained ones have not."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.specs.methods.projection import FORGET_ROWS, RETAIN_ROWS, TUNED, ProjectionParameters
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.data import Dataset, in_batches
from app.unlearning.learning.architectures import Classifier
from app.unlearning.methods.method import Computed
from app.unlearning.methods.steps import images_of, refresh_statistics
from app.unlearning.methods.tuning import Attempt, Judge, choose

_BATCH = 32  # unfolded patches of one layer are nine times its input


@dataclass(frozen=True)
class Spectrum:
    """The directions of one layer's inputs, and how much of the squared length lies along each."""

    directions: Tensor
    """float32 [G, d, d], orthonormal columns, for each of the layer's groups."""
    shares: Tensor
    """float32 [G, d], 0 or more, together 1 in each group; all 0 where a group is never active."""

    def projection(self, scale: float) -> Tensor:
        """The projection, [G, d, d], from 0 to the identity; the higher `scale`, the more lesser directions count."""
        kept = scale * self.shares / ((scale - 1) * self.shares + 1)  # [G, d]
        return (self.directions * kept.unsqueeze(1)) @ self.directions.transpose(1, 2)


def compute(case: Case, parameters: ProjectionParameters, context: Context, *, seed: int) -> Computed:
    """Project the weights of all linear and convolutional layers, without a gradient; the scale is tuned."""
    original, data, partition = case.original, case.data, case.partition
    judge = Judge(case, parameters.utility_budget, context, seed=seed, reads_forget_set=True)
    generator = torch.Generator().manual_seed(seed)
    forget = spectra(original, data, _draw(partition.train.forget, FORGET_ROWS, generator), context)
    retain = spectra(original, data, _draw(judge.rows, RETAIN_ROWS, generator), context)

    def attempt(retain_scale: float, part: Context) -> Attempt:
        model = deepcopy(original)
        for name, spectrum in forget.items():
            part.check()
            forgotten, retained = spectrum.projection(parameters.forget_scale), retain[name].projection(retain_scale)
            take_out(model.get_submodule(name), of_the_first_alone(forgotten, retained))
        refresh_statistics(model, data, judge.rows, seed, part)
        return Attempt(model, {"layers": len(forget)})

    choice = choose(TUNED.setting, TUNED.candidates(parameters, partition.kind), attempt, judge, context)
    return Computed(choice.model, choice.settings)


def of_the_first_alone(first: Tensor, second: Tensor) -> Tensor:
    """(I - second) first, [G, d, d]: an input's part along the first directions, less its part along the second ones.

    The two projections do not commute; the first one meets the input first.
    """
    return first - second @ first


@torch.no_grad()
def take_out(layer: nn.Module, directions: Tensor) -> None:
    """Make a layer, in place, blind to these directions of its inputs, [G, d, d]: W <- W (I - directions)."""
    weight = layer.get_parameter("weight")
    by_group = weight.reshape(len(directions), -1, directions.shape[1])  # [G, O / G, d]
    weight.copy_((by_group - by_group @ directions).view(weight.shape))


@torch.no_grad()
def spectra(model: Classifier, data: Dataset, rows: Tensor, context: Context) -> dict[str, Spectrum]:
    """The spectrum of the inputs of every linear and convolutional layer on these training rows, by the layer's name."""
    grams: dict[str, Tensor] = {}
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    hooks = [module.register_forward_hook(_adding_to(grams, name)) for name, module in layers.items()]
    try:
        for batch in in_batches(rows, _BATCH):
            context.check()
            model(images_of(data, batch, context))
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for name, gram in grams.items():
        context.check()
        length = gram.diagonal(dim1=1, dim2=2).sum(dim=1).clamp(min=torch.finfo().tiny)  # [G, d, d] -> [G]
        # In double precision and of length 1: of a layer that is hardly ever active, float32 gives no directions at all.
        shares, directions = torch.linalg.eigh(gram.double() / length.view(-1, 1, 1))  # [G, d], [G, d, d]
        found[name] = Spectrum(directions.float(), shares.clamp(min=0).float())
    return found


def _adding_to(grams: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    """A forward hook that adds the inner products of a layer's inputs to grams[name], [G, d, d]."""

    def hook(module: nn.Module, inputs: tuple[Any, ...], _output: Any) -> None:
        columns = _patches(module, inputs[0])  # [G, d, n]
        gram = columns @ columns.transpose(1, 2)
        grams[name] = grams[name] + gram if name in grams else gram

    return hook


def _patches(layer: nn.Module, inputs: Tensor) -> Tensor:
    """What a layer multiplies its weights with, [G, d, n]; its inputs are [N, I], or [N, I, H, W] of a convolution."""
    if not isinstance(layer, nn.Conv2d):
        return inputs.reshape(-1, inputs.shape[-1]).T.unsqueeze(0)  # [N, I] -> [1, I, N]
    unfolded = functional.unfold(
        inputs,
        layer.kernel_size,
        layer.dilation,
        layer.padding,  # type: ignore[arg-type]  # a string only for 'same', which no network here uses
        layer.stride,
    )  # [N, I * kernel, positions]
    by_group = unfolded.view(len(inputs), layer.groups, -1, unfolded.shape[-1])  # [N, G, I/G * kernel, positions]
    return by_group.permute(1, 2, 0, 3).flatten(2)  # [G, I/G * kernel, N * positions]


def _draw(rows: Tensor, most: int, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:most]]
