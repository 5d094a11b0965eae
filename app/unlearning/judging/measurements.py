"""What is measured on a model: accuracies, refusals and sparsity, of the answers as served and of the raw head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from app.specs.learning import Progressive
from app.specs.reports import MEASURED_ROWS, Measurements, Memorisation, TaskMeasurements
from app.unlearning.data import Dataset
from app.unlearning.judging.measuring.closeness import margins_among
from app.unlearning.judging.measuring.membership import area_under_curve
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.growing import NO_TASK, owners
from app.unlearning.learning.training import raw_logits
from app.unlearning.partition import Partition, retained_classes, rows_of
from app.unlearning.refusing.guard import Guard, Guarded, margins_of_rows

MEMORISED_ROWS = 3000
"""The most learned rows, and the most unseen rows, that memorisation is measured on."""

_CPU = torch.device("cpu")
_ONE_SIDED_95 = 1.645  # quantile of the normal distribution


@dataclass(frozen=True)
class VersionMetrics:
    """What is kept with a version, measured on the test set as served. No task is named, except in `tasks`."""

    test_accuracy: float
    per_class_accuracy: list[float | None]
    confusion_matrix: list[list[int]]
    sparsity: float
    num_parameters: int
    tasks: list[TaskMeasurements]
    memorisation: Memorisation | None
    """How well the model tells rows that it learned from unseen ones; None where one kind has no rows."""

    @property
    def warning(self) -> str | None:
        """A warning, as `warning_of` gives it; None if there is none."""
        return warning_of(self.memorisation)


def warning_of(found: Memorisation | None) -> str | None:
    """A sentence that nothing was learned, where the loss diverged or there were too few steps; otherwise None."""
    if found is None or found.unseen_accuracy > found.chance:
        return None
    return (
        f"It answers {found.unseen_accuracy:.3f} of the rows that it never saw right, which is no more than chance "
        f"({found.chance:.3f}): its training diverged or was too short. Train it with a lower learning_rate or more epochs; "
        "what it forgets by any method that is not exact is inconclusive."
    )


@dataclass(frozen=True)
class Answers:
    """What a model answers to some labelled rows; all int64 [N] on the CPU."""

    labels: Tensor
    served: Tensor
    """Class index, or the number of classes where the null unit won."""
    raw: Tensor
    """Class index of the raw head's highest logit; -1 where several share it, as the zero rows of forgotten classes do."""
    in_task: Tensor
    """Class index as in `served`, with the task of the true class named; equal to `served` where there are no tasks."""
    num_classes: int

    def accuracy(self) -> float | None:
        """Share of answers, as served, that are the true class; a forgotten answer never is."""
        return _share(self.served == self.labels)

    def accuracy_in_task(self) -> float | None:
        """Share of answers, as served with the task named, that are the true class."""
        return _share(self.in_task == self.labels)

    def raw_accuracy(self) -> float | None:
        """Share of answers of the raw head that are the true class."""
        return _share(self.raw == self.labels)

    def refusal_rate(self) -> float | None:
        """Share answered as forgotten."""
        return _share(self.served == self.num_classes)

    def refusal_rate_in_task(self) -> float | None:
        """Share answered as forgotten with the task named."""
        return _share(self.in_task == self.num_classes)

    def of_classes(self, classes: Sequence[int]) -> Answers:
        """The answers to inputs of these classes alone."""
        among = torch.isin(self.labels, torch.tensor(classes, dtype=torch.int64))
        return Answers(self.labels[among], self.served[among], self.raw[among], self.in_task[among], self.num_classes)

    def confusion_matrix(self) -> list[list[int]]:
        """Counts [C][C + 1]: row, true class; column, answered class, the last one for forgotten."""
        width = self.num_classes + 1
        cells = torch.bincount(self.labels * width + self.served, minlength=self.num_classes * width)  # [C * (C + 1)]
        counts: list[list[int]] = cells.view(self.num_classes, width).tolist()
        return counts

    def accuracy_by_class(self) -> list[float | None]:
        """Accuracy, 0..1, by class index; None for classes without inputs."""
        return [self.of_classes([number]).accuracy() for number in range(self.num_classes)]

    def refusal_by_class(self, classes: Sequence[int]) -> dict[str, float]:
        """Refusal rate, 0..1, by class index, for the given classes that have inputs."""
        rates = {str(number): self.of_classes([number]).refusal_rate() for number in classes}
        return {number: rate for number, rate in rates.items() if rate is not None}


def answers(
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    rows: Tensor,
    device: torch.device = _CPU,
    *,
    guard: Guard | None = None,
) -> Answers:
    """What `model` answers, behind its guard, to these rows (int64) of images, uint8 [N, C, H, W], and labels, int64 [N].

    The raw head is the model's own. Rows of classes not learned yet are left out, and those classes do not compete in the raw head either.
    """
    rows = rows_of(labels, rows, model.learned_classes)
    logits = raw_logits(model, images, rows, device)
    learned = logits.masked_fill(~model.named(None).cpu(), -torch.inf)  # [N, C]
    highest, raw = learned.max(dim=1)  # [N, C] -> [N], [N]
    tied = (learned == highest.unsqueeze(1)).sum(dim=1) > 1  # [N, C] -> [N]
    guarded, margins = Guarded(model, guard), margins_of_rows(guard, images, rows, device)
    served = guarded.serve(logits.to(device), margins).argmax(dim=1).cpu()
    in_task = _in_task(guarded, logits.to(device), margins, labels[rows], served)
    return Answers(labels[rows], served, raw.masked_fill(tied, -1), in_task, model.num_classes)


def _in_task(guarded: Guarded, logits: Tensor, margins: Tensor | None, labels: Tensor, served: Tensor) -> Tensor:
    """Answers, int64 [N], with each label's task named; where there are no tasks, the answers `served`."""
    answered, model = served.clone(), guarded.classifier
    for task in range(len(model.learning.tasks)):
        among = model.task_classes[task].cpu()[labels]  # bool [N]
        places = among.to(logits.device)
        margins_in_task = None if margins is None else margins[places]
        answered[among] = guarded.serve(logits[places], margins_in_task, task).argmax(dim=1).cpu()
    return answered


def measure(
    model: Classifier,
    data: Dataset,
    partition: Partition,
    device: torch.device = _CPU,
    *,
    guard: Guard | None = None,
) -> Measurements:
    """Measure, behind the guard, on the test set and on at most MEASURED_ROWS training rows of forget and retain set.

    The measured rows are seeded random ones.
    """
    test_rows = torch.arange(len(data.test_labels))
    test = answers(model, data.test_images, data.test_labels, test_rows, device, guard=guard)
    forget, retain = (
        answers(model, data.train_images, data.train_labels, measured_rows(rows), device, guard=guard)
        for rows in (partition.train.forget, partition.train.retain)
    )
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
        tasks=_task_measurements(
            model,
            test,
            earlier=partition.earlier_classes,
            forget=partition.forget_classes,
            retained=partition.retain_classes,
        ),
    )


def version_metrics(
    model: Classifier, data: Dataset, device: torch.device = _CPU, *, guard: Guard | None = None
) -> VersionMetrics:
    """What is kept with a version, measured behind its guard; `data` is what it may still learn."""
    rows = torch.arange(len(data.test_labels))
    test = answers(model, data.test_images, data.test_labels, rows, device, guard=guard)
    retained = retained_classes(data, data.train_rows, model.competing().nonzero().flatten().tolist())
    return VersionMetrics(
        test_accuracy=test.of_classes(retained).accuracy() or 0.0,
        per_class_accuracy=test.accuracy_by_class(),
        confusion_matrix=test.confusion_matrix(),
        sparsity=sparsity(model),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        tasks=_task_measurements(model, test, earlier=model.forgotten_classes, forget=(), retained=retained),
        memorisation=memorisation(model, data, device),
    )


def memorisation(model: Classifier, data: Dataset, device: torch.device = _CPU) -> Memorisation | None:
    """How well a model tells learned from calibration rows, MEMORISED_ROWS each at most, of classes that still compete.

    The simplest membership attacks tell them apart by whether the answer is right, or by how sure it is (Yeom et al.
    2018, arXiv 1709.01604): what neither attack finds, no comparison with retrained models will show.
    """
    competing = model.competing().cpu()
    classes = competing.nonzero().flatten().tolist()
    seen, unseen = (
        measured_rows(rows_of(data.train_labels, rows, classes))[:MEMORISED_ROWS]
        for rows in (data.train_rows, data.calibration_rows)
    )
    if min(len(seen), len(unseen)) == 0:
        return None
    rows = torch.cat([seen, unseen])
    labels = data.train_labels[rows]
    logits = raw_logits(model, data.train_images, rows, device).cpu().nan_to_num()
    hits = logits.masked_fill(~competing, -torch.inf).argmax(dim=1) == labels
    confidence = margins_among(logits, labels, competing)
    area = area_under_curve(confidence[: len(seen)], confidence[len(seen) :])
    share = float(torch.bincount(labels[len(seen) :]).max()) / len(unseen)
    return Memorisation(
        train_accuracy=float(hits[: len(seen)].double().mean()),
        unseen_accuracy=float(hits[len(seen) :].double().mean()),
        membership_auc=area.estimate.value,
        chance=share + _ONE_SIDED_95 * math.sqrt(share * (1 - share) / len(unseen)),
    )


def _task_measurements(
    model: Classifier, test: Answers, *, earlier: Sequence[int], forget: Sequence[int], retained: Sequence[int]
) -> list[TaskMeasurements]:
    """Measurements by task, of classes forgotten before, to be forgotten now, and retained."""
    return [
        _of_task(
            test,
            task,
            classes,
            standing=[number for number in classes if number in forget or number in retained],
            staying=[number for number in classes if number in retained],
            forgotten=[number for number in classes if number in earlier or number in forget],
        )
        for task, classes in enumerate(model.learning.tasks)
    ]


def _of_task(
    test: Answers,
    task: int,
    classes: Sequence[int],
    *,
    standing: Sequence[int],
    staying: Sequence[int],
    forgotten: Sequence[int],
) -> TaskMeasurements:
    known, retained, gone = (test.of_classes(some) for some in (standing, staying, forgotten))
    return TaskMeasurements(
        task=task,
        classes=list(classes),
        accuracy=known.accuracy_in_task(),
        accuracy_without_task=known.accuracy(),
        retained_accuracy=retained.accuracy_in_task(),
        retained_accuracy_without_task=retained.accuracy(),
        refusal_rate=gone.refusal_rate_in_task(),
        refusal_rate_without_task=gone.refusal_rate(),
        false_refusal_rate=retained.refusal_rate_in_task(),
        false_refusal_rate_without_task=retained.refusal_rate(),
    )


def measured_rows(rows: Tensor) -> Tensor:
    """The rows that are measured, at most MEASURED_ROWS of the given rows, int64 [N]: always the same random ones."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    return rows[order[:MEASURED_ROWS]]


def sparsity(model: nn.Module) -> float:
    """Share of parameters, biases included, that are exactly zero."""
    parameters = list(model.parameters())
    zeros = sum(int((parameter == 0).sum()) for parameter in parameters)
    return zeros / sum(parameter.numel() for parameter in parameters)


def weights_changed(before: Classifier, after: Classifier) -> dict[str, int]:
    """Number of values that differ, by parameter name; two models of one architecture.

    In a network that grew in between, the values of the further tasks count as differing.
    """
    changed = dict(after.named_parameters())
    if isinstance(after.learning, Progressive):
        return _owned_weights_changed(before, after)
    return {name: int((parameter != changed[name]).sum()) for name, parameter in before.named_parameters()}


def _owned_weights_changed(before: Classifier, after: Classifier) -> dict[str, int]:
    """The values of the tasks that both have, compared one by one in their order, and the count of all others."""
    counts = {}
    old_owners, new_owners, num_tasks = owners(before), owners(after), len(before.learning.tasks)
    for name, old_owner in old_owners.items():
        old = before.get_parameter(name)[old_owner != NO_TASK]
        shared = (new_owners[name] != NO_TASK) & (new_owners[name] < num_tasks)
        added = int((new_owners[name] >= num_tasks).sum())
        counts[name] = int((old != after.get_parameter(name)[shared]).sum()) + added
    return counts


def _share(hits: Tensor) -> float | None:
    """Share of true entries of a bool [N]; None where N is 0."""
    return float(hits.double().mean()) if len(hits) else None
