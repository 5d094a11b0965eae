"""How a guard comes to be: trained on training rows, its threshold set by held-out retained ones."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor
from torch.nn import functional

from app.errors import NotApplicable
from app.specs.refusing import GuardParameters
from app.unlearning.context import Context
from app.unlearning.data import Dataset, images_at, in_batches
from app.unlearning.judging.measurements import answers
from app.unlearning.learning.architectures import Classifier, seeded
from app.unlearning.learning.training import deterministic_algorithms
from app.unlearning.methods.steps import Batches, descend, images_of
from app.unlearning.partition import Partition, rows_of
from app.unlearning.refusing.guard import BATCH, Guard
from app.unlearning.refusing.refusal import refusal_threshold

_CPU = torch.device("cpu")


def fit_guard_of(
    model: Classifier,
    data: Dataset,
    classes: tuple[int, ...],
    parameters: GuardParameters,
    context: Context,
    *,
    seed: int,
) -> Guard:
    """A guard for these classes, some or all of those that `model` has forgotten, now or earlier; see `fit_guard`."""
    others = [number for number in model.forgotten_classes if number not in classes]
    partition = Partition.of(data, classes, others, model.learned_classes)
    return fit_guard(model, data, partition, parameters, context, seed=seed)


def recalibrated(guard: Guard, model: Classifier, data: Dataset, *, device: torch.device = _CPU) -> Guard:
    """A copy whose threshold is set for another model, which learned further; the guard's own budget holds."""
    copy = deepcopy(guard).to(device)
    partition = Partition.of(data, model.forgotten_classes, learned=model.learned_classes)
    with deterministic_algorithms():
        calibrate_guard(copy, model, data, partition.calibration.retain, device=device)
    return copy


def fit_guard(
    model: Classifier, data: Dataset, partition: Partition, parameters: GuardParameters, context: Context, *, seed: int
) -> Guard:
    """A guard for the classes that `partition` forgets, trained and calibrated; the model is not touched.

    The model has those classes struck already; its answers say what a refusal costs. Same seed, threads, torch and kind
    of CPU: same bits. Raises NotApplicable where there is nothing to learn from, or to calibrate on.
    """
    _check(model, data, partition)
    with seeded(seed), deterministic_algorithms():
        guard = Guard(parameters, data.input_shape, data.num_classes)
        guard.classes[list(partition.forget_classes)] = True
        guard.to(context.device)
        _train(guard, data, partition, parameters, context.part(0.0, 0.9), seed=seed)
        context.report(0.9, "guard", "calibrating")
        calibrate_guard(guard, model, data, partition.calibration.retain, device=context.device)
    context.report(1.0, "guard", "done")
    return guard


def calibrate_guard(
    guard: Guard, model: Classifier, data: Dataset, rows: Tensor, *, device: torch.device = _CPU
) -> None:
    """Set the guard's threshold, in place, from these retained training rows (int64) and rows of its own classes.

    Its refusals cost at most its budget of the answers that `model` gives right, with no task named, and no more than
    it takes to refuse its target of each of its classes' calibration rows. Raises NotApplicable where none is right.
    """
    found = answers(model, data.train_images, data.train_labels, rows, device)
    right = rows_of(data.train_labels, rows, model.learned_classes)[found.served == found.labels]
    if len(right) == 0:
        raise NotApplicable("The model answers no retained calibration input right, so no guard can be calibrated.")
    classes = [rows_of(data.train_labels, data.calibration_rows, [number]) for number in guard.guarded_classes]
    scores = [_scores(guard, data, of_class, device) for of_class in (right, *classes) if len(of_class)]
    if not all(bool(of_class.isfinite().all()) for of_class in scores):
        raise NotApplicable("The guard's scores are not finite; train it with a lower learning rate.")
    kept, *refused = (-of_class for of_class in scores)
    threshold = refusal_threshold(kept, refused, guard.recipe.refusal_budget, guard.recipe.refusal_target)
    guard.threshold.fill_(-threshold)


@torch.inference_mode()
def _scores(guard: Guard, data: Dataset, rows: Tensor, device: torch.device) -> Tensor:
    """Scores, float32 [N] on the CPU, of rows (int64) of the training file."""
    batches = in_batches(rows, BATCH)
    return torch.cat([guard(images_at(data.train_images, batch, device)).cpu() for batch in batches])


def _train(
    guard: Guard, data: Dataset, partition: Partition, parameters: GuardParameters, context: Context, *, seed: int
) -> None:
    """Descend, in place, on the cross-entropy by Adam; half a cosine brings the rate to 0 at the last step."""
    batches = _Batches(data, partition, parameters.batch_size, seed)
    optimizer = torch.optim.Adam(guard.parameters(), lr=parameters.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=parameters.steps)

    def loss() -> Tensor:
        rows, targets = batches.draw()
        return functional.cross_entropy(guard.logits(images_of(data, rows, context)), targets.to(context.device))

    guard.train()
    descend(optimizer, loss, parameters.steps, context, schedule=schedule)
    guard.eval()


class _Batches:
    """Seeded draws of retained rows and, half as many in all, of rows to forget, equally many of each class."""

    def __init__(self, data: Dataset, partition: Partition, size: int, seed: int) -> None:
        classes = partition.forget_classes
        each = max(1, size // 2 // len(classes))
        self._labels, self._refused = data.train_labels, data.num_classes
        self._retain = Batches(partition.train.retain, size, seed)
        self._forget = [
            Batches(rows_of(data.train_labels, partition.train.forget, [number]), each, seed) for number in classes
        ]

    def draw(self) -> tuple[Tensor, Tensor]:
        """Rows, int64 [N], of the training file, and their units, int64 [N]: the last unit for rows to be refused."""
        retain, forget = self._retain.draw(), torch.cat([batches.draw() for batches in self._forget])
        units = [self._labels[retain], torch.full_like(forget, self._refused)]
        return torch.cat([retain, forget]), torch.cat(units)


def _check(model: Classifier, data: Dataset, partition: Partition) -> None:
    if not partition.forget_classes:
        raise NotApplicable("A guard is of classes, and samples have no answer to refuse; send the refusal none.")
    if len(rows_of(data.train_labels, partition.train.forget, partition.forget_classes)) == 0:
        raise NotApplicable("There is no training image of the classes to forget, so a guard cannot learn them.")
    if model.forgotten_classes != partition.forgotten_classes:
        raise NotApplicable("The classifier must have struck what the partition forgets, and nothing else.")
