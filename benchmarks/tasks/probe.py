"""What features still tell of a task: logistic regression on the frozen penultimate layer (Alain and Bengio 2016).

arXiv 1610.01644.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from app.unlearning.data import Dataset, images_as_float
from app.unlearning.partition import rows_of

PER_CLASS = 100
"""Labelled training images that the probe learns from, of each class."""

Features = Callable[[Tensor], Tensor]
"""From images, float32 [N, 1, 28, 28] in 0..1, to features, float32 [N, D]."""


@dataclass(frozen=True)
class Probe:
    """What the probe recovers of one task, on test images of its classes."""

    two_way: float
    """Accuracy of a probe that tells the task's classes from each other."""
    recall: float
    """Share given its own class by a probe that tells all ten classes from each other."""


@dataclass(frozen=True)
class ProbeImages:
    """The same labelled images for every network of a seed."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @classmethod
    def of(cls, data: Dataset, seed: int) -> ProbeImages:
        """Seeded random training rows, the same number of each class, and all test images."""
        generator = torch.Generator().manual_seed(seed)
        drawn = []
        for number in range(data.num_classes):
            rows = rows_of(data.train_labels, data.train_rows, [number])
            drawn.append(rows[torch.randperm(len(rows), generator=generator)[:PER_CLASS]])
        rows = torch.cat(drawn)
        return cls(
            images_as_float(data.train_images[rows]),
            data.train_labels[rows],
            images_as_float(data.test_images),
            data.test_labels,
        )


@torch.inference_mode()
def probe(features: Features, images: ProbeImages, classes: tuple[int, ...]) -> Probe:
    """Fit both probes on the training images' features, and count on the test images of these classes."""
    train, test = features(images.train_images), features(images.test_images)
    among_train, among_test = (
        torch.isin(labels, torch.tensor(classes)) for labels in (images.train_labels, images.test_labels)
    )
    wanted = test[among_test], images.test_labels[among_test]
    return Probe(
        two_way=_score((train[among_train], images.train_labels[among_train]), wanted),
        recall=_score((train, images.train_labels), wanted),
    )


def _score(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """Accuracy on `test` of a regression fitted on `train`, with standardised features and the usual L2 penalty of 1."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(train[0].numpy(), train[1].numpy())
    return float(model.score(test[0].numpy(), test[1].numpy()))
