"""Slow and obvious references that the product's fast code is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import torch
from torch import Tensor
from torch.nn import functional

from app.unlearning.architectures import Classifier
from app.unlearning.data import images_as_float


def naive_merkle_root(entries: Sequence[bytes]) -> bytes:
    """The Merkle tree hash, word for word as RFC 6962 section 2.1 defines it."""
    if not entries:
        return sha256().digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    left, right = naive_merkle_root(entries[:split]), naive_merkle_root(entries[split:])
    return sha256(b"\x01" + left + right).digest()


def loop_fisher(model: Classifier, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Mean squared gradient of each image's own cross-entropy, one backward pass per image; by parameter name."""
    totals = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    for image, label in zip(images_as_float(images), labels, strict=True):
        model.zero_grad()
        logits = model(image.unsqueeze(0)).masked_fill(model.forgotten, -torch.inf)
        functional.cross_entropy(logits, label.unsqueeze(0)).backward()  # type: ignore[no-untyped-call]  # torch's
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                totals[name] += parameter.grad.square()
    return {name: total / len(labels) for name, total in totals.items()}


@torch.no_grad()
def loss_change_by_removal(model: Classifier, images: Tensor, labels: Tensor, name: str) -> Tensor:
    """How much the mean cross-entropy changes when one value of a parameter becomes zero, for each value in turn."""
    flat = dict(model.named_parameters())[name].view(-1)
    batch = images_as_float(images)
    loss = functional.cross_entropy(model(batch), labels)
    changes = torch.zeros_like(flat)
    for index in range(len(flat)):
        value = flat[index].clone()
        flat[index] = 0
        changes[index] = functional.cross_entropy(model(batch), labels) - loss
        flat[index] = value
    return changes
