"""What the layers of a network make of some images, and how alike two networks are in it.

A layer is named as in the model: a linear, convolution or recurrent layer of the body by its name (its output, before
normalisation and activation), `body` for the features that the head takes, `head` for the raw logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.errors import NotApplicable
from app.unlearning.data import images_at, in_batches
from app.unlearning.judging.measuring.measurable import require_pairs
from app.unlearning.learning.architectures import Classifier

MAX_FEATURES = 1024
"""A convolution's map is averaged to a grid of 4x4, 2x2 or 1x1 positions: the finest grid with at most this number of
features."""
MAX_LAYERS = 6
"""Layers of the body that `layer_names` names, beside `body` and `head`, at most."""

_CPU = torch.device("cpu")
_GRID_SIDES = (4, 2, 1)
_BATCH = 250  # small enough for memory that is used again: images become floats in a third of the time that 500 take
_MAP_DIMENSIONS = 4  # [N, C, H, W]


def layer_names(model: Classifier) -> tuple[str, ...]:
    """Layers to look at, from the input on: at most MAX_LAYERS of the body, evenly spaced, then `body` and `head`."""
    weighted = [f"body.{name}" for name, module in model.body.named_modules() if _has_weights(module)]
    places = torch.linspace(0, len(weighted) - 1, min(MAX_LAYERS, len(weighted))).round().int().tolist()
    return (*(weighted[place] for place in places), "body", "head")


def layer_features(
    model: Classifier, images: Tensor, rows: Tensor, layers: Iterable[str], device: torch.device = _CPU
) -> dict[str, Tensor]:
    """Each layer's features, float32 [len(rows), D] on the CPU, of these rows (int64) of images, uint8 [N, C, H, W].

    One pass over the rows. Maps of convolutions are pooled as MAX_FEATURES says, sequences of recurrent layers are
    their last state. Memory is len(rows) times D of all layers together, D at most MAX_FEATURES for maps. Raises
    NotApplicable for no rows and for layers that the model does not have.
    """
    collected: dict[str, list[Tensor]] = {name: [] for name in layers}
    modules = dict(model.named_modules())
    missing = sorted(set(collected) - set(modules))
    if missing:
        raise NotApplicable(f"The network has no layer {missing[0]!r}; name layers such as {layer_names(model)[0]!r}.")
    if len(rows) == 0:
        raise NotApplicable("There are no rows to take features of; name a larger set.")
    hooks = [modules[name].register_forward_hook(_collecting(parts)) for name, parts in collected.items()]
    try:
        with torch.no_grad():
            for batch in in_batches(rows, _BATCH):
                model(images_at(images, batch, device))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(parts) for name, parts in collected.items()}


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Linear centred kernel alignment of two layers' features of the same N inputs, [N, D] and [N, E]; 0..1, 1 is equal.

    It is |Y'X|^2 / (|X'X| |Y'Y|), Frobenius norms of centred features, in float64, and stays the same when features are
    rotated or scaled (Kornblith et al. 2019, arXiv 1905.00414). Chance is not 0 but about D / (D + N): compare figures
    of equal N alone, and take N well above D. Raises NotApplicable where a layer gives every input the same features.
    """
    require_pairs(first, second, "features")
    x, y = _centred(first), _centred(second)
    return min(1.0, _squared_product(x, y) / math.sqrt(_squared_product(x, x) * _squared_product(y, y)))


def layer_similarity(
    first: dict[str, Tensor], second: dict[str, Tensor], layers: Sequence[str]
) -> dict[str, float | None]:
    """Linear CKA of two models by layer; None for layers that give every input the same features in one of them."""
    return {name: _cka_or_none(first[name], second[name]) for name in layers}


def _cka_or_none(first: Tensor, second: Tensor) -> float | None:
    if _is_constant(first) or _is_constant(second):
        return None
    return linear_cka(first, second)


def _has_weights(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d | nn.RNNBase)


def _collecting(parts: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...], Any], None]:
    """A forward hook that adds a layer's features of the batch to `parts`."""

    def forward_hook(module: nn.Module, _: tuple[Tensor, ...], output: Any) -> None:
        features = output[0][-1] if isinstance(module, nn.RNNBase) else _pooled(output)  # last state, or map
        # A copy, before an activation changes the output in place, as those of torchvision's networks do.
        parts.append(features.flatten(1).to("cpu", torch.float32, copy=True))

    return forward_hook


def _pooled(output: Tensor) -> Tensor:
    """Maps [N, C, H, W] averaged to the finest allowed grid; anything else as it is."""
    if output.dim() != _MAP_DIMENSIONS:
        return output
    channels, height, width = output.shape[1:]
    side = next((side for side in _GRID_SIDES if channels * side * side <= MAX_FEATURES), 1)
    return functional.adaptive_avg_pool2d(output, (min(side, height), min(side, width)))


def _is_constant(features: Tensor) -> bool:
    return bool((features == features[0]).all())


def _centred(features: Tensor) -> Tensor:
    """Float64 [N, D], of mean 0 in each column and largest value 1."""
    if _is_constant(features):
        raise NotApplicable("A layer gives every input the same features, so nothing can be aligned with it.")
    wide = features.double()
    centred = wide - wide.mean(dim=0)
    return centred / centred.abs().max()


def _squared_product(x: Tensor, y: Tensor) -> float:
    """|X'Y|^2, Frobenius; [N, D] and [N, E], by blocks of columns, so that no more than MAX_FEATURES x E is held."""
    blocks = in_batches(x.T, MAX_FEATURES)
    return sum(float((block @ y).square().sum()) for block in blocks)
