"""Which hidden weights matter to the forget set and not to the retain set, measured on training rows.

Weights of linear, convolution and recurrent layers are ranked, each layer by itself. Biases and the parameters and statistics of
batch norm are left alone: they act on a whole unit or channel, for every class alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.specs.methods.edit import FORGET_ROWS, RETAIN_ROWS, Selection
from app.unlearning.context import Context
from app.unlearning.data import Dataset, images_as_float, in_batches
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.recurrent import gate_gradients, per_sample_gradient
from app.unlearning.partition import Rows

_DAMPING = 0.1  # of a layer's mean retain importance: keeps 0 / 0 of weights that never act from ranking first
_BATCH = 256
_HELD_VALUES = 2**24  # float32 values of per-sample gradients of one layer held at once: 64 MiB

ByTensor = dict[str, Tensor]
"""One tensor per parameter name, shaped like the parameter."""

_WeightLayer = nn.Linear | nn.Conv2d | nn.RNNBase


def hidden_weights(model: Classifier) -> ByTensor:
    """The weights of every linear, convolution and recurrent layer of the body, by the parameter's name in the model.

    A recurrent layer has two weights: one for its inputs and one for its own states.
    """
    return {
        f"body.{layer}.{weight}": module.get_parameter(weight)
        for layer, module in _weight_layers(model)
        for weight in _weights_of(module)
    }


@dataclass(frozen=True)
class Contrast:
    """How much each hidden weight matters to what is to be forgotten, and how much to what stays; 0 or more."""

    forget: ByTensor
    retain: ByTensor

    def ratio(self, name: str) -> Tensor:
        """How much more each weight of this layer matters to what is forgotten; 0 or more, higher is more."""
        return damped_ratio(self.forget[name], self.retain[name])

    def share(self, name: str) -> Tensor:
        """The share, 0..1, of each weight's importance that comes from what is forgotten; NaN without importance."""
        return self.forget[name] / (self.forget[name] + self.retain[name])


def measured_contrast(
    model: Classifier, data: Dataset, rows: Rows, selection: Selection, context: Context, *, seed: int
) -> Contrast:
    """The contrast between rows of the training file, measured on seeded random subsets of them.

    The selection `sensitivity` compares |weight x gradient of the mean loss|, the others the diagonal of the empirical
    Fisher information.
    """
    measure = sensitivity if selection == "sensitivity" else empirical_fisher
    generator = torch.Generator().manual_seed(seed)
    return Contrast(
        forget=measure(model, *_draw(data, rows.forget, FORGET_ROWS, generator), context),
        retain=measure(model, *_draw(data, rows.retain, RETAIN_ROWS, generator), context),
    )


def damped_ratio(forget: Tensor, retain: Tensor) -> Tensor:
    """Importance to the forget set over that to the retain set, which is raised by a tenth of the layer's mean.

    Both are shaped like the layer's weight; the ratio is 0 where the importance to the forget set is 0.

    Where nothing of the layer matters to what stays, there is no ratio, and forget importance alone ranks.
    """
    if not retain.any():
        return forget
    ratio = forget / (retain + _DAMPING * retain.mean())
    return torch.where(forget > 0, ratio, 0.0)


@dataclass(frozen=True)
class Moments:
    """Moments of the gradients of each image's own loss: their mean over images, and the mean of their squares."""

    mean: ByTensor
    square: ByTensor


def empirical_fisher(model: Classifier, images: Tensor, labels: Tensor, context: Context) -> ByTensor:
    """The mean over images of the squared gradient of each image's own loss, for every hidden weight."""
    return gradient_moments(model, images, labels, context).square


def gradient_moments(model: Classifier, images: Tensor, labels: Tensor, context: Context) -> Moments:
    """The moments of every hidden weight's gradients.

    Images are uint8 [N, C, H, W], labels int64 [N]. The model is in evaluation mode, so that images do not act on each
    other. Gradients are per sample, because the square of a batch's mean gradient depends on the batch size (Kunstner
    et al. 2019, arXiv 1905.12558; Foster et al. 2023, arXiv 2308.07707). They are the products of each layer's inputs
    and output gradients, so one pass over the batch gives them all (three to eight times faster here than vmap of
    grad). In a recurrent layer they are summed over the rows of the image before they are squared.
    """
    weights = hidden_weights(model)
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    model.zero_grad()
    hooks = [
        module.register_forward_hook(_adding_squares([totals[f"body.{layer}.{name}"] for name in _weights_of(module)]))
        for layer, module in _weight_layers(model)
    ]
    try:
        for rows in in_batches(torch.arange(len(labels)), _BATCH):
            context.check()
            _summed_loss(model, images[rows], labels[rows], context).backward()  # type: ignore[no-untyped-call]  # torch's
        sums = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad()
    return Moments(
        mean={name: total / len(labels) for name, total in sums.items()},
        square={name: total / len(labels) for name, total in totals.items()},
    )


def sensitivity(model: Classifier, images: Tensor, labels: Tensor, context: Context) -> ByTensor:
    """|weight x gradient of the mean loss|: to first order, how much the loss changes when the weight is removed.

    Images uint8 [N, C, H, W], labels int64 [N] (Molchanov et al. 2019, arXiv 1906.10771).
    """
    weights = hidden_weights(model)
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for rows in in_batches(torch.arange(len(labels)), _BATCH):
        context.check()
        loss = _summed_loss(model, images[rows], labels[rows], context)
        gradients = torch.autograd.grad(loss, list(weights.values())) if weights else ()
        for name, gradient in zip(weights, gradients, strict=True):
            totals[name] += gradient
    return {name: (weights[name].detach() * total / len(labels)).abs() for name, total in totals.items()}


def _weight_layers(model: Classifier) -> list[tuple[str, _WeightLayer]]:
    """The linear, convolution and recurrent layers of the body, by name in it."""
    return [(name, module) for name, module in model.body.named_modules() if isinstance(module, _WeightLayer)]


def _weights_of(module: _WeightLayer) -> tuple[str, ...]:
    """The names of a layer's weights in it."""
    return ("weight_ih_l0", "weight_hh_l0") if isinstance(module, nn.RNNBase) else ("weight",)


def _summed_loss(model: Classifier, images: Tensor, labels: Tensor, context: Context) -> Tensor:
    """Sum of the images' cross-entropies, scalar, each over the retained classes of the image's task.

    Where a task has but one retained class left, the cross-entropy is over all classes: a single one would be right
    whatever the weights, and no weight would matter.
    """
    logits = model(images_as_float(images.to(context.device)))
    within = model.within_tasks(logits, labels)  # [N, C]
    alone = within.isfinite().sum(dim=1, keepdim=True) == 1  # [N, 1], one class left
    if alone.any():
        within = torch.where(alone, logits.masked_fill(~model.competing(), -torch.inf), within)
    return functional.cross_entropy(within, labels.to(context.device), reduction="sum")


def _adding_squares(totals: list[Tensor]) -> Callable[[_WeightLayer, tuple[Tensor, ...], Any], None]:
    """A forward hook that adds, when the gradient passes, each sample's squared gradients to the weights' `totals`."""

    def forward_hook(module: _WeightLayer, inputs: tuple[Tensor, ...], output: Any) -> None:
        layer_input = inputs[0].detach()

        # On the tensor, before anything later changes it in place, as activations of torchvision's networks do.
        def backward_hook(gradient: Tensor) -> None:
            for total, squares in zip(totals, _squares(module, layer_input, gradient), strict=True):
                total.add_(squares)

        states = output[0] if isinstance(module, nn.RNNBase) else output
        states.register_hook(backward_hook)

    return forward_hook


def _squares(module: _WeightLayer, inputs: Tensor, gradient: Tensor) -> list[Tensor]:
    """Sum over samples of the squared gradient of each of the layer's weights."""
    if isinstance(module, nn.Linear):
        return [_linear_squares(inputs, gradient)]
    if isinstance(module, nn.Conv2d):
        return [_convolution_squares(module, inputs, gradient)]
    at_input, at_state, before = gate_gradients(module, inputs, gradient)
    return [_recurrent_squares(at_input, inputs), _recurrent_squares(at_state, before)]


def _linear_squares(inputs: Tensor, gradient: Tensor) -> Tensor:
    """Sum over samples of the squared gradient g a^T; inputs a [N, I], gradient g [N, O], result [O, I]."""
    return gradient.square().T @ inputs.square()


def _convolution_squares(layer: nn.Conv2d, inputs: Tensor, gradient: Tensor) -> Tensor:
    """Sum over samples of the squared weight gradient; inputs [N, I, H, W], gradient [N, O, H', W']."""
    total = torch.zeros_like(layer.weight)
    chunk = max(1, _HELD_VALUES // layer.weight.numel())
    for rows in in_batches(torch.arange(len(inputs)), chunk):
        patches = functional.unfold(
            inputs[rows],
            layer.kernel_size,
            layer.dilation,
            layer.padding,  # type: ignore[arg-type]  # a string only for 'same', which no network here uses
            layer.stride,
        )
        positions = patches.shape[-1]
        by_group = patches.view(len(rows), layer.groups, -1, positions)  # [N, G, I/G * kernel, positions]
        gradients = gradient[rows].reshape(len(rows), layer.groups, -1, positions)  # [N, G, O/G, positions]
        per_sample = gradients @ by_group.transpose(2, 3)  # [N, G, O/G, I/G * kernel]
        total += per_sample.square().sum(dim=0).view(layer.weight.shape)  # [O, I/G, height, width]
    return total


def _recurrent_squares(gates: Tensor, inputs: Tensor) -> Tensor:
    """Sum over samples of the squared weight gradient; gradient at the gates [H, N, G], inputs [H, N, I]."""
    _, samples, num_gates = gates.shape
    total = torch.zeros(num_gates, inputs.shape[-1], device=gates.device)
    for rows in in_batches(torch.arange(samples), max(1, _HELD_VALUES // total.numel())):
        total += per_sample_gradient(gates[:, rows], inputs[:, rows]).square().sum(dim=0)
    return total


def _draw(data: Dataset, rows: Tensor, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """At most `most` random rows of the training file: images, uint8 [N, C, H, W], and labels, int64 [N]."""
    drawn = rows[torch.randperm(len(rows), generator=generator)[:most]]
    return data.train_images[drawn], data.train_labels[drawn]
