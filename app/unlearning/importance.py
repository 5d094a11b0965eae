"""Which hidden weights matter to the forget set and not to the retain set, measured on training rows.

Weights of linear and convolution layers are ranked, each layer by itself. Biases and the parameters and statistics of
batch norm are left alone: they act on a whole unit or channel, for every class alike.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from app.specs import Edit
from app.unlearning.architectures import Classifier
from app.unlearning.context import Context
from app.unlearning.data import Dataset, images_as_float, in_batches
from app.unlearning.partition import Partition

FORGET_ROWS = 1000
"""Training rows of the forget set that importance is measured on, at most."""
RETAIN_ROWS = 1000
"""Training rows of the retain set that importance is measured on, at most."""

_DAMPING = 0.1  # of a layer's mean retain importance: keeps 0 / 0 of weights that never act from ranking first
_LARGEST_CHUNK = 256  # images whose gradients are held at once
_CHUNK_VALUES = 2**25  # float32 values of per-sample gradients held at once: 128 MiB

ByTensor = dict[str, Tensor]
"""One tensor per parameter name, shaped like the parameter."""


def hidden_weights(model: Classifier) -> ByTensor:
    """The weights of every linear and convolution layer of the body, by the parameter's name in the model."""
    return {
        f"body.{name}.weight": module.weight
        for name, module in model.body.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }


def importance_ratio(model: Classifier, data: Dataset, partition: Partition, edit: Edit, context: Context) -> ByTensor:
    """How much more each hidden weight matters to the forget set than to the retain set; 0 or more, higher is more.

    The selection `sensitivity` compares |weight x gradient of the mean loss|, the others the diagonal of the empirical Fisher
    information. Measured on seeded random subsets of the training rows.
    """
    measure = sensitivity if edit.parameters.selection == "sensitivity" else empirical_fisher
    generator = torch.Generator().manual_seed(edit.seed)
    forget = measure(model, *_draw(data, partition.train.forget, FORGET_ROWS, generator), context)
    retain = measure(model, *_draw(data, partition.train.retain, RETAIN_ROWS, generator), context)
    return {name: damped_ratio(forget[name], retain[name]) for name in forget}


def damped_ratio(forget: Tensor, retain: Tensor) -> Tensor:
    """Forget : retain importance of one layer, the latter raised by a tenth of its mean; 0 where forget is 0."""
    ratio = forget / (retain + _DAMPING * retain.mean())
    return torch.where(forget > 0, ratio, 0.0)


def empirical_fisher(model: Classifier, images: Tensor, labels: Tensor, context: Context) -> ByTensor:
    """The mean over images of the squared gradient of each image's own loss, for every hidden weight.

    Images uint8 [N, C, H, W], labels int64 [N]. Per-sample gradients, because the square of a batch's mean gradient
    depends on the batch size (Kunstner et al. 2019, arXiv 1905.12558; Foster et al. 2023, arXiv 2308.07707).
    """
    weights = {name: weight.detach() for name, weight in hidden_weights(model).items()}
    if not weights:
        return {}
    per_sample = vmap(grad(_loss_of_one(model)), in_dims=(None, 0, 0))
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    chunk = max(1, min(_LARGEST_CHUNK, _CHUNK_VALUES // sum(weight.numel() for weight in weights.values())))
    for rows in in_batches(torch.arange(len(labels)), chunk):
        context.check()
        batch = images_as_float(images[rows].to(context.device))
        for name, gradient in per_sample(weights, batch, labels[rows].to(context.device)).items():
            totals[name] += gradient.square().sum(dim=0)
    return {name: total / len(labels) for name, total in totals.items()}


def sensitivity(model: Classifier, images: Tensor, labels: Tensor, context: Context) -> ByTensor:
    """|weight x gradient of the mean loss|: to first order, how much the loss changes when the weight is removed.

    Images uint8 [N, C, H, W], labels int64 [N] (Molchanov et al. 2019, arXiv 1906.10771).
    """
    weights = hidden_weights(model)
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for rows in in_batches(torch.arange(len(labels)), _LARGEST_CHUNK):
        context.check()
        logits = model(images_as_float(images[rows].to(context.device)))
        loss = functional.cross_entropy(
            logits.masked_fill(model.forgotten, -torch.inf), labels[rows].to(context.device), reduction="sum"
        )
        gradients = torch.autograd.grad(loss, list(weights.values())) if weights else ()
        for name, gradient in zip(weights, gradients, strict=True):
            totals[name] += gradient
    return {name: (weights[name].detach() * total / len(labels)).abs() for name, total in totals.items()}


def _loss_of_one(model: Classifier) -> Callable[[ByTensor, Tensor, Tensor], Tensor]:
    """The loss of one image [C, H, W] and its label [], as a function of the hidden weights."""
    fixed = {name: tensor.detach() for name, tensor in model.state_dict().items()}

    def loss(weights: ByTensor, image: Tensor, label: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, {**fixed, **weights}, (image.unsqueeze(0),))
        return functional.cross_entropy(logits.masked_fill(model.forgotten, -torch.inf), label.unsqueeze(0))

    return loss


def _draw(data: Dataset, rows: Tensor, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """At most so many random rows of the training file: images and labels."""
    drawn = rows[torch.randperm(len(rows), generator=generator)[:most]]
    return data.train_images[drawn], data.train_labels[drawn]
