"""Refusal by a guard: a small network beside the classifier that tells forgotten inputs from retained ones.

The classifier is not touched: what it forgot it need not know again to refuse it. The guard, though, *is* knowledge of
the classes, kept apart on purpose, in a state of its own that can be deleted on its own. It learns the retained rows of
its day, too: whoever forgets some of those later fits it anew or deletes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from app.errors import InvalidShape, NotApplicable
from app.method_parameters import GuardParameters
from app.unlearning.architectures import Classifier
from app.unlearning.data import images_as_float, in_batches
from app.unlearning.partition import rows_of
from app.unlearning.training import raw_logits
from app.unlearning.verification import Answers, answers

_CHANNELS = (16, 32)  # of the first and of every further convolution
_LEAST_LAYERS = 6  # two convolutions, each with pooling and ReLU
_LARGEST_MAP = 8  # pixels; maps are halved until they are no wider
_BATCH = 1000
_CPU = torch.device("cpu")


class Guard(nn.Module):
    """A small convolutional network that says how much an input looks like the classes of one request.

    It has one unit for all of them together, against one for each other class: told what the retained inputs are, and
    not only that they are retained, it tells the forgotten ones better.

    Rebuilt from parameters, input shape and number of classes alone; everything else is in its `state_dict`.
    """

    threshold: Tensor
    """float32 scalar, buffer: scores above it are refused; infinite, refusing nothing, until it is calibrated."""
    classes: Tensor
    """bool [C], buffer: the classes of its request. Which one of them an input is, it was never taught."""

    def __init__(self, parameters: GuardParameters, input_shape: tuple[int, int, int], num_classes: int) -> None:
        """Weights are drawn from torch's global generator."""
        super().__init__()
        self.input_shape = input_shape
        self.network = _network(parameters.hidden, input_shape, num_classes + 1)
        self.register_buffer("threshold", torch.tensor(math.inf))
        self.register_buffer("classes", torch.zeros(num_classes, dtype=torch.bool))

    def forward(self, images: Tensor) -> Tensor:
        """Scores, float32 [N], of images, float32 [N, C, H, W] in 0..1: log odds of forgotten against retained.

        The odds are those of the batches it was trained on, of which a share is forgotten that is not the world's.
        """
        logits = self.logits(images)
        return logits[:, -1] - logits[:, :-1].logsumexp(dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """Of every class and, last, of the guard's classes together, float32 [N, C + 1]."""
        return self.network(images)  # type: ignore[no-any-return]  # modules return Any

    def margins(self, images: Tensor) -> Tensor:
        """By how much the scores exceed the threshold, float32 [N]; above 0 is refused."""
        scores: Tensor = self(images)
        return scores - self.threshold


@dataclass(frozen=True)
class Guarded:
    """A classifier and the guards beside it, one per request that asked for one; without guards, the classifier alone.

    Raises InvalidShape for guards of other images, and NotApplicable for guards of classes that are not forgotten.
    """

    classifier: Classifier
    guards: tuple[Guard, ...] = ()

    def __post_init__(self) -> None:
        """Refuse guards that belong to another model."""
        for guard in self.guards:
            same_classes = len(guard.classes) == self.classifier.num_classes
            if not same_classes or guard.input_shape != self.classifier.input_shape:
                raise InvalidShape("A guard must be of the images and classes of its classifier; take its own.")
            if bool((guard.classes & ~self.classifier.forgotten).any()):
                raise NotApplicable("A guard may refuse forgotten classes alone; strike its classes first.")

    def serve(self, logits: Tensor, images: Tensor, task: int | None = None) -> Tensor:
        """Raw logits [N, C] of images to logits as served, float32 [N, C + 1], as those of `Classifier.serve`.

        Only the null unit's differs: it is raised, if that is higher, to the highest of what competes plus the largest
        margin of the guards. It wins where a guard refuses, or where the classifier does by itself. A named task asks
        the guards of its classes alone.
        """
        served = self.classifier.serve(logits, task)
        named = self.classifier.named(task)
        asked = [guard for guard in self.guards if bool((guard.classes & named).any())]
        if not asked:
            return served
        margin = torch.stack([guard.margins(images) for guard in asked]).amax(dim=0)
        competing, null = served[:, :-1], served[:, -1]
        raised = torch.maximum(null, competing.amax(dim=1) + margin)
        return torch.cat([competing, raised.unsqueeze(1)], dim=1)

    def probabilities(self, images: Tensor, task: int | None = None) -> Tensor:
        """Served probabilities, float32 [N, C + 1]; each row sums to 1, classes that may not be answered are exactly 0."""
        return self.serve(self.classifier(images), images, task).softmax(dim=1)


@torch.inference_mode()
def guarded_answers(
    guarded: Guarded, images: Tensor, labels: Tensor, rows: Tensor, device: torch.device = _CPU
) -> Answers:
    """What the classifier answers behind its guards to these rows, as `verification.answers`; the raw head is its own."""
    model = guarded.classifier
    alone = answers(model, images, labels, rows, device)
    if not guarded.guards:
        return alone
    rows = rows_of(labels, rows, model.learned_classes)
    served = _served(guarded, images, rows, device)
    in_task = served.clone()
    for task in range(len(model.learning.tasks)):
        among = model.task_classes[task].cpu()[labels[rows]]
        in_task[among] = _served(guarded, images, rows[among], device, task)
    return replace(alone, served=served, in_task=in_task)


def _served(guarded: Guarded, images: Tensor, rows: Tensor, device: torch.device, task: int | None = None) -> Tensor:
    """Answers, int64 [N] on the CPU, number of classes where the null unit won; the same bits whatever N."""
    found = [torch.zeros(0, dtype=torch.int64)]
    for batch in in_batches(rows, _BATCH):
        logits = raw_logits(guarded.classifier, images, batch, device).to(device)
        served = guarded.serve(logits, images_as_float(images[batch].to(device)), task)
        found.append(served.argmax(dim=1).cpu())
    return torch.cat(found)


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
