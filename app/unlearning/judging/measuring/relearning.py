"""Relearning: how many steps on a few forgotten images bring a class or samples back.

A model that only hides a class knows it again at once; a retrained one has to learn it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from app.errors import NotApplicable
from app.unlearning.context import Context, Throttle
from app.unlearning.data import classes_of, images_as_float
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.training import deterministic_algorithms, raw_logits

MAX_STEPS = 150
"""The most steps that are tried."""
LEARNING_RATE = 1e-3
"""The learning rate of Adam."""
HALF_BATCH = 64
"""Images of the forget set in a batch, and as many of the retain set; drawn with replacement."""
RELEARNED_SHARE = 0.9
"""The share of the original model's accuracy at which the forget set counts as relearned."""


@dataclass(frozen=True)
class Images:
    """Some labelled images."""

    images: Tensor
    """uint8 [N, C, H, W]."""
    labels: Tensor
    """int64 [N]."""


@dataclass(frozen=True)
class Relearning:
    """What relearning did."""

    steps: int | None
    """Smallest number of steps with the target reached, 0 if it was before the first; None if never."""
    curve: tuple[float, ...]
    """Accuracy on the judged images, 0..1, after 0, 1, … steps; ends where the target was reached."""


@dataclass(frozen=True)
class AnamnesisIndex:
    """AIN: steps of the unlearned model / steps of the retrained one, 0 or more; about 1 is the aim.

    If it is far below 1, the knowledge is still there; if it is far above 1, the network is damaged (Chundawat et al.
    2023, arXiv 2201.05629).
    """

    value: float
    at_least: bool
    """Whether the unlearned model did not relearn within MAX_STEPS: the true value is then this or more."""


def relearn(
    model: Classifier,
    forget: Images,
    retain: Images,
    judged: Images,
    *,
    original_accuracy: float,
    seed: int,
    context: Context,
    max_steps: int = MAX_STEPS,
) -> Relearning:
    """Train a copy of `model` on forget and retain images until it knows the judged ones again.

    Every model takes steps of Adam by the same recipe: batches drawn from `seed`, plain cross-entropy of the raw head,
    batch norm and dropout as in evaluation. All classes compete but the forgotten ones that are in no forget image. The
    judged images are test images of a forgotten class, or the forgotten samples themselves; the target is
    RELEARNED_SHARE of `original_accuracy`, the original model's accuracy on them. Same seed: same bits (Golatkar et al.
    2020, arXiv 1911.04933). Raises NotApplicable for empty sets and for an original that knew nothing.
    """
    if min(len(forget.labels), len(retain.labels), len(judged.labels)) == 0:
        raise NotApplicable("Relearning needs forgotten, retained and judged images; name larger sets.")
    if original_accuracy <= 0:
        raise NotApplicable("The original model answered none of the judged images right: there is nothing to relearn.")
    target = RELEARNED_SHARE * original_accuracy
    learner = _Relearner(model, forget, retain, seed, context)
    throttle = Throttle()
    curve = [learner.accuracy(judged)]
    with deterministic_algorithms():
        while curve[-1] < target and len(curve) <= max_steps:
            context.check()
            if throttle.due():
                context.report(len(curve) / max_steps, "relearning", f"step {len(curve)} of at most {max_steps}")
            learner.step()
            curve.append(learner.accuracy(judged))
    return Relearning(len(curve) - 1 if curve[-1] >= target else None, tuple(curve))


def anamnesis_index(unlearned: Relearning, retrained: Iterable[Relearning]) -> AnamnesisIndex:
    """AIN of an unlearned model and one or more retrained ones, whose steps are averaged; all of one recipe and target.

    Raises NotApplicable where a retrained model needs no step or never gets there: nothing can be told by them.
    """
    steps = [run.steps for run in retrained]
    if not steps or any(not number for number in steps):
        raise NotApplicable("A retrained model must reach the target after one step at least, and in the time given.")
    mean = sum(number or 0 for number in steps) / len(steps)
    taken = len(unlearned.curve) if unlearned.steps is None else unlearned.steps
    return AnamnesisIndex(taken / mean, at_least=unlearned.steps is None)


class _Relearner:
    """A copy of the model, which may know its forgotten classes again, its optimizer and the order of its batches."""

    def __init__(self, model: Classifier, forget: Images, retain: Images, seed: int, context: Context) -> None:
        self.model = copy.deepcopy(model).to(context.device).eval()
        self.model.forgotten[list(classes_of(forget.labels))] = False
        self.forget, self.retain, self.device = forget, retain, context.device
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE, fused=True)
        self.generator = torch.Generator().manual_seed(seed)

    def step(self) -> None:
        """Take one step on a batch of both sets."""
        images, labels = zip(self._drawn(self.forget), self._drawn(self.retain), strict=True)
        batch, targets = torch.cat(images).to(self.device), torch.cat(labels).to(self.device)
        logits = self.model.within_tasks(self.model(images_as_float(batch)), targets)
        loss = functional.cross_entropy(logits, targets)
        if not bool(loss.isfinite()):
            raise NotApplicable("The loss of relearning is not finite; give no retained images of forgotten classes.")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
        self.optimizer.step()

    def accuracy(self, judged: Images) -> float:
        """Share of the judged images that the raw head answers right, among the classes that compete."""
        logits = raw_logits(self.model, judged.images, torch.arange(len(judged.labels)), self.device)
        answers = self.model.within_tasks(logits.to(self.device), judged.labels).argmax(dim=1).cpu()
        return float((answers == judged.labels).double().mean())

    def _drawn(self, images: Images) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(images.labels), (HALF_BATCH,), generator=self.generator)
        return images.images[rows], images.labels[rows]
