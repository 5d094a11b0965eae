"""What is measured on a model: accuracies, refusals and sparsity, as served and of the raw head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from app.specs import MEASURED_ROWS
from app.unlearning.architectures import Classifier
from app.unlearning.data import Dataset
from app.unlearning.partition import Partition
from app.unlearning.training import raw_logits

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Measurements:
    """How one model behaves; shares are in 0..1, None where there is nothing to count.

    The forget set is that of the classes to be forgotten now; the retain set is of the classes never forgotten.
    """

    forget_accuracy: float | None
    retain_accuracy: float | None
    test_accuracy: float | None
    refusal_rate: float | None
    false_refusal_rate: float | None
    raw_forget_accuracy: float | None
    raw_test_accuracy: float | None
    per_class_accuracy: list[float | None]
    confusion_matrix: list[list[int]]
    sparsity: float
    refusal_by_class: dict[str, float]


@dataclass(frozen=True)
class VersionMetrics:
    """What is kept with a version: measured on the test set, as served."""

    test_accuracy: float
    per_class_accuracy: list[float | None]
    confusion_matrix: list[list[int]]
    sparsity: float
    num_parameters: int


@dataclass(frozen=True)
class Answers:
    """What a model answers to some labelled rows; all int64 [N] on the CPU."""

    labels: Tensor
    served: Tensor
    """Class index, or the number of classes where the null unit won."""
    raw: Tensor
    """Class index of the raw head's highest logit; -1 where several share it, as the zero rows of forgotten classes do."""
    num_classes: int

    def accuracy(self) -> float | None:
        """Share of answers, as served, that are the true class; a forgotten answer never is."""
        return _share(self.served == self.labels)

    def raw_accuracy(self) -> float | None:
        """Share of answers of the raw head that are the true class."""
        return _share(self.raw == self.labels)

    def refusal_rate(self) -> float | None:
        """Share answered as forgotten."""
        return _share(self.served == self.num_classes)

    def of_classes(self, classes: Sequence[int]) -> Answers:
        """The answers to inputs of these classes alone."""
        among = torch.isin(self.labels, torch.tensor(classes, dtype=torch.int64))
        return Answers(self.labels[among], self.served[among], self.raw[among], self.num_classes)

    def confusion_matrix(self) -> list[list[int]]:
        """Counts [C][C + 1]: row, true class; column, answered class, the last one for forgotten."""
        width = self.num_classes + 1
        cells = torch.bincount(self.labels * width + self.served, minlength=self.num_classes * width)
        counts: list[list[int]] = cells.view(self.num_classes, width).tolist()
        return counts

    def accuracy_by_class(self) -> list[float | None]:
        """Accuracy by class index; None for classes without inputs."""
        return [self.of_classes([number]).accuracy() for number in range(self.num_classes)]

    def refusal_by_class(self, classes: Sequence[int]) -> dict[str, float]:
        """Refusal rate by class index, of those of these classes that have inputs."""
        rates = {str(number): self.of_classes([number]).refusal_rate() for number in classes}
        return {number: rate for number, rate in rates.items() if rate is not None}


def answers(model: Classifier, images: Tensor, labels: Tensor, rows: Tensor, device: torch.device = _CPU) -> Answers:
    """What `model` answers to these rows (int64) of images, uint8 [N, C, H, W], and labels, int64 [N]."""
    logits = raw_logits(model, images, rows, device)
    highest, raw = logits.max(dim=1)
    tied = (logits == highest.unsqueeze(1)).sum(dim=1) > 1
    served = model.serve(logits.to(device)).argmax(dim=1).cpu()
    return Answers(labels[rows], served, raw.masked_fill(tied, -1), model.num_classes)


def measure(model: Classifier, data: Dataset, partition: Partition, device: torch.device = _CPU) -> Measurements:
    """Measure on the test set, and on at most MEASURED_ROWS seeded random training rows of forget and retain set."""
    test = answers(model, data.test_images, data.test_labels, torch.arange(len(data.test_labels)), device)
    forget = answers(model, data.train_images, data.train_labels, measured_rows(partition.train.forget), device)
    retain = answers(model, data.train_images, data.train_labels, measured_rows(partition.train.retain), device)
    test_retain = test.of_classes(partition.retain_classes)
    return Measurements(
        forget_accuracy=forget.accuracy(),
        retain_accuracy=retain.accuracy(),
        test_accuracy=test_retain.accuracy(),
        refusal_rate=test.of_classes(partition.forget_classes).refusal_rate(),
        false_refusal_rate=test_retain.refusal_rate(),
        raw_forget_accuracy=forget.raw_accuracy(),
        raw_test_accuracy=test_retain.raw_accuracy(),
        per_class_accuracy=test.accuracy_by_class(),
        confusion_matrix=test.confusion_matrix(),
        sparsity=sparsity(model),
        refusal_by_class=test.refusal_by_class(partition.forgotten_classes),
    )


def version_metrics(model: Classifier, data: Dataset, device: torch.device = _CPU) -> VersionMetrics:
    """What is kept with a version."""
    test = answers(model, data.test_images, data.test_labels, torch.arange(len(data.test_labels)), device)
    retained = (~model.forgotten.cpu()).nonzero().flatten().tolist()
    return VersionMetrics(
        test_accuracy=test.of_classes(retained).accuracy() or 0.0,
        per_class_accuracy=test.accuracy_by_class(),
        confusion_matrix=test.confusion_matrix(),
        sparsity=sparsity(model),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def measured_rows(rows: Tensor) -> Tensor:
    """At most MEASURED_ROWS of these rows: always the same seeded random ones."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    return rows[order[:MEASURED_ROWS]]


def sparsity(model: nn.Module) -> float:
    """Share of parameters, biases included, that are exactly zero."""
    parameters = list(model.parameters())
    zeros = sum(int((parameter == 0).sum()) for parameter in parameters)
    return zeros / sum(parameter.numel() for parameter in parameters)


def weights_changed(before: nn.Module, after: nn.Module) -> dict[str, int]:
    """Number of values that differ, by parameter name; two models of one architecture."""
    changed = dict(after.named_parameters())
    return {name: int((parameter != changed[name]).sum()) for name, parameter in before.named_parameters()}


def _share(hits: Tensor) -> float | None:
    """Share of true entries of a bool [N]; None of none."""
    return float(hits.double().mean()) if len(hits) else None
