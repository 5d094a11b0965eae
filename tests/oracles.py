"""Slow and obvious references that the product's fast code is compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import sha256
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from app.unlearning.data import images_as_float
from app.unlearning.learning.architectures import Classifier


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


def naive_inclusion_proof(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]), word for word as RFC 6962 section 2.1.1 defines it."""
    if len(entries) == 1:
        return []
    split = 1
    while split * 2 < len(entries):
        split *= 2
    if index < split:
        return [*naive_inclusion_proof(index, entries[:split]), naive_merkle_root(entries[split:])]
    return [*naive_inclusion_proof(index - split, entries[split:]), naive_merkle_root(entries[:split])]


def naive_consistency_proof(old_size: int, entries: Sequence[bytes], *, complete: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b), word for word as RFC 6962 section 2.1.2 defines it."""
    if old_size == len(entries):
        return [] if complete else [naive_merkle_root(entries)]
    split = 1
    while split * 2 < len(entries):
        split *= 2
    if old_size <= split:
        left = naive_consistency_proof(old_size, entries[:split], complete=complete)
        return [*left, naive_merkle_root(entries[split:])]
    right = naive_consistency_proof(old_size - split, entries[split:], complete=False)
    return [*right, naive_merkle_root(entries[:split])]


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


def loop_gradients(model: Classifier, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The gradient of each image's own cross-entropy, one backward pass per image, [N, ...] by parameter name."""
    found: dict[str, list[Tensor]] = {name: [] for name, _ in model.named_parameters()}
    for image, label in zip(images_as_float(images), labels, strict=True):
        logits = model(image.unsqueeze(0)).masked_fill(model.forgotten, -torch.inf)
        loss = functional.cross_entropy(logits, label.unsqueeze(0))
        for name, gradient in zip(found, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            found[name].append(gradient)
    return {name: torch.stack(gradients) for name, gradients in found.items()}


def batch_fisher(gradients: Tensor, batch_size: int) -> Tensor:
    """The square of a batch's mean gradient, on average over each batch that there is; gradients [N, ...]."""
    batches = list(product(gradients, repeat=batch_size))
    return torch.stack([torch.stack(batch).mean(dim=0).square() for batch in batches]).mean(dim=0)


def looped_dampening(parameter: Tensor, of_forget: Tensor, of_all: Tensor, alpha: float, lam: float) -> Tensor:
    """A parameter after equations 3 and 4 of Foster, Schoepf, Brintrup 2024 (arXiv 2308.07707), value by value.

    Of the importance to the forget set and to the full training data, which hold it; both shaped like the parameter.
    """
    values = []
    for value, ours, theirs in zip(
        *(tensor.flatten().tolist() for tensor in (parameter, of_forget, of_all)), strict=True
    ):
        beta = min(lam * theirs / ours, 1) if ours > alpha * theirs else 1
        values.append(beta * value)
    return torch.tensor(values).view(parameter.shape)


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


def counted_auc(members: Tensor, non_members: Tensor) -> float:
    """Share of pairs in which the member scores higher, ties half, pair by pair."""
    pairs = [(float(member), float(other)) for member in members for other in non_members]
    return sum(1.0 if member > other else 0.5 if member == other else 0.0 for member, other in pairs) / len(pairs)


def looped_jensen_shannon(first: Tensor, second: Tensor) -> list[float]:
    """Half of KL(p ‖ m) + KL(q ‖ m) in bits for each row, class by class, 0 log 0 = 0."""

    def divergence(p: list[float], m: list[float]) -> float:
        terms = [(a, b) for a, b in zip(p, m, strict=True) if a > 0 and b > 0]  # half of the least float is 0
        return sum(a * math.log2(a / b) for a, b in terms)

    found = []
    for p, q in zip(first.tolist(), second.tolist(), strict=True):
        mean = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        found.append((divergence(p, mean) + divergence(q, mean)) / 2)
    return found


def gram_cka(first: Tensor, second: Tensor) -> float:
    """Linear CKA by the definition: the N x N Gram matrices, centred on both sides, and the cosine between them."""
    count = len(first)
    centring = torch.eye(count, dtype=torch.float64) - 1 / count
    one, other = (centring @ (part.double() @ part.double().T) @ centring for part in (first, second))
    return float((one * other).sum() / (one.norm() * other.norm()))


def lbfgs_regression(features: Tensor, targets: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Weight [K, D] and bias [K] of the least ridge-regularised cross-entropy; features float64, targets 0..K - 1."""
    weight = torch.zeros(num_classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(num_classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=300,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(features @ weight.T + bias, targets)
        loss = loss + 1 / (2 * len(targets)) * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # likewise
    return weight.detach(), bias.detach()


def looped_projection(
    weight: Tensor, forget: Tensor, retain: Tensor, forget_scale: float, retain_scale: float
) -> Tensor:
    """The weights [O, d] of a layer after Kodge, Saha, Roy 2024 (arXiv 2312.00761), of its inputs, [n, d] each.

    Unit vector by unit vector: its part in the forget space, less what of that part lies in the retain space, is taken
    out before the weights meet it. The authors' code does the same: weight (I - (P_f - P_f P_r))^T.
    """

    def part(inputs: Tensor, scale: float, vector: Tensor) -> Tensor:
        _, lengths, directions = torch.linalg.svd(inputs.double(), full_matrices=False)
        shares = lengths.square() / lengths.square().sum()
        found = torch.zeros_like(vector)
        for share, direction in zip(shares, directions, strict=True):
            found += scale * share / ((scale - 1) * share + 1) * torch.dot(direction, vector) * direction
        return found

    columns = []
    for vector in torch.eye(weight.shape[1], dtype=torch.float64):
        forgotten = part(forget, forget_scale, vector)
        columns.append(weight.double() @ (vector - (forgotten - part(retain, retain_scale, forgotten))))
    return torch.stack(columns, dim=1)
