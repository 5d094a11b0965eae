"""Refusal by a guard: a small network beside the classifier that tells forgotten inputs from retained ones.

The classifier is not touched: it need not know again what it forgot to refuse it. The guard, though, *is* knowledge of
the classes, kept apart on purpose, in a state of its own that can be deleted on its own. It learns the retained rows of
its day, too: if some of those are forgotten later, it must be fitted anew or deleted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from app.errors import InvalidShape, NotApplicable
from app.specs.refusing import GuardParameters
from app.unlearning.data import images_at, in_batches
from app.unlearning.learning.architectures import Classifier

_CHANNELS = (16, 32)  # of the first and of every further convolution
_LEAST_LAYERS = 6  # two convolutions, each with pooling and ReLU
_LARGEST_MAP = 8  # pixels; maps are halved until they are no wider
BATCH = 250  # maps that stay in the cache: 10,000 MNIST images in half the time that 1000 take
_CPU = torch.device("cpu")


class Guard(nn.Module):
    """A small convolutional network that says how much an input looks like its classes.

    It has one unit for all of its classes together, and one for each other class: a guard that learns what the retained
    inputs are, and not only that they are retained, tells the forgotten ones better.

    Rebuilt from parameters, input shape and number of classes alone; everything else is in its `state_dict`.
    """

    threshold: Tensor
    """float32 scalar, buffer: scores above it are refused; it is infinite, so that nothing is refused, until it is
    calibrated."""
    classes: Tensor
    """bool [C], buffer: the classes it refuses. It was never taught to tell these apart."""

    def __init__(self, parameters: GuardParameters, input_shape: tuple[int, int, int], num_classes: int) -> None:
        """Weights are drawn from torch's global generator."""
        super().__init__()
        self.recipe, self.input_shape = parameters, input_shape
        # Channels last: convolutions of few channels take half the time on CPUs.
        network = _network(parameters.hidden, input_shape, num_classes + 1)
        self.network = network.to(memory_format=torch.channels_last)
        self.register_buffer("threshold", torch.tensor(math.inf))
        self.register_buffer("classes", torch.zeros(num_classes, dtype=torch.bool))

    @property
    def guarded_classes(self) -> tuple[int, ...]:
        """The classes it refuses, ascending."""
        return tuple(self.classes.nonzero().flatten().tolist())

    def forward(self, images: Tensor) -> Tensor:
        """Scores, float32 [N], of images, float32 [N, C, H, W] in 0..1: log odds of forgotten against retained.

        The odds are right for the batches it was trained on, in which forgotten inputs are more frequent than in the
        world.
        """
        logits = self.logits(images)
        return logits[:, -1] - logits[:, :-1].logsumexp(dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """Logits, float32 [N, C + 1], of every class and, in the last column, of the guard's classes together."""
        return self.network(images)  # type: ignore[no-any-return]  # modules return Any

    def margins(self, images: Tensor) -> Tensor:
        """How far the scores exceed the threshold, float32 [N]; above 0 is refused."""
        scores: Tensor = self(images)
        return scores - self.threshold


@dataclass(frozen=True)
class Guarded:
    """A classifier and the guard beside it; without one, the classifier alone.

    Raises InvalidShape for a guard of other images, and NotApplicable for one of classes that are not forgotten.
    """

    classifier: Classifier
    guard: Guard | None = None

    def __post_init__(self) -> None:
        """Refuse a guard that belongs to another model."""
        if self.guard is None:
            return
        same_classes = len(self.guard.classes) == self.classifier.num_classes
        if not same_classes or self.guard.input_shape != self.classifier.input_shape:
            raise InvalidShape("A guard must be of the images and classes of its classifier; take its own.")
        if bool((self.guard.classes & ~self.classifier.forgotten).any()):
            raise NotApplicable("A guard may refuse forgotten classes alone; strike its classes first.")

    def serve(self, logits: Tensor, margins: Tensor | None, task: int | None = None) -> Tensor:
        """Raw logits [N, C] and the guard's margins [N] to logits as served, float32 [N, C + 1].

        Only the null unit's logit differs from `Classifier.serve`: it is raised, if that is higher, to the highest
        competing logit plus the margin. The null unit wins where the guard refuses, or where the classifier does by
        itself. A named task asks a guard only if the guard has classes of that task. `margins` are None where there is
        no guard.
        """
        served = self.classifier.serve(logits, task)
        if self.guard is None or margins is None or not (self.guard.classes & self.classifier.named(task)).any():
            return served
        competing, null = served[:, :-1], served[:, -1]  # [N, C], [N]
        raised = torch.maximum(null, competing.amax(dim=1) + margins)  # [N]
        return torch.cat([competing, raised.unsqueeze(1)], dim=1)

    def margins(self, images: Tensor) -> Tensor | None:
        """Margins, float32 [N], of images, float32 [N, C, H, W] in 0..1, as `Guard.margins`; None without a guard."""
        return None if self.guard is None else self.guard.margins(images)

    def probabilities(self, images: Tensor, task: int | None = None) -> Tensor:
        """Served probabilities, float32 [N, C + 1]; each row sums to 1, classes that may not be answered are exactly 0."""
        return self.serve(self.classifier(images), self.margins(images), task).softmax(dim=1)


@torch.inference_mode()
def margins_of_rows(guard: Guard | None, images: Tensor, rows: Tensor, device: torch.device = _CPU) -> Tensor | None:
    """Margins, float32 [N] on the device, of these rows (int64) of images, uint8 [N, C, H, W]; None without a guard."""
    if guard is None:
        return None
    found = [guard.margins(images_at(images, batch, device)) for batch in in_batches(rows, BATCH)]
    return torch.cat([torch.zeros(0, device=device), *found])


def _network(hidden: int, input_shape: tuple[int, int, int], num_units: int) -> nn.Module:
    """Convolutions that halve the map until it is no larger than 8 x 8, at least two, then one hidden layer."""
    channels, height, width = input_shape
    layers: list[nn.Module] = []
    fan_out = _CHANNELS[0]
    while len(layers) < _LEAST_LAYERS or max(height, width) > _LARGEST_MAP:
        layers += [nn.Conv2d(channels, fan_out, kernel_size=3, padding=1), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU()]
        channels, fan_out, height, width = fan_out, _CHANNELS[1], -(-height // 2), -(-width // 2)
    layers += [nn.Flatten(), nn.Linear(channels * height * width, hidden), nn.ReLU(), nn.Linear(hidden, num_units)]
    return nn.Sequential(*layers)
