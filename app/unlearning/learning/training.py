"""The one fit loop: deterministic by seed, batches taken from tensors in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.errors import NotApplicable
from app.specs.training import Training
from app.unlearning.context import Context, Throttle
from app.unlearning.data import Dataset, classes_of, images_at, in_batches
from app.unlearning.learning.architectures import Classifier, seeded
from app.unlearning.partition import rows_of
from app.unlearning.stopwatch import Stopwatch

_EVALUATION_BATCH = 250  # maps that stay in the cache: 5,000 images through the default CNN in .18 s, with 1,000 in .33


@dataclass(frozen=True)
class Epoch:
    """One pass over the rows: mean loss in nats per image."""

    training_loss: float
    calibration_loss: float | None
    """Mean calibration loss, in nats; None without early stopping, because nothing else needs it."""


@dataclass(frozen=True)
class Fit:
    """What a fit did."""

    seconds: float
    """Wall seconds of the whole fit."""
    cpu_seconds: float
    """CPU seconds as in `stopwatch.Spent`."""
    epochs: int
    """Epochs run; with early stopping perhaps fewer than asked for."""
    best_epoch: int
    """The epoch, counted from 1, whose weights the model has now."""
    history: tuple[Epoch, ...]


class Protection(Protocol):
    """What holds earlier tasks while a further one is learned; told of every step."""

    def after_backward(self) -> None:
        """The gradients are those of the task's loss alone, and nothing is updated yet."""

    def after_step(self) -> None:
        """The optimizer has updated the parameters."""


def fit(
    model: Classifier,
    data: Dataset,
    rows: Tensor,
    training: Training,
    context: Context,
    *,
    protection: Protection | None = None,
    calibration_rows: Tensor | None = None,
) -> Fit:
    """Fit `model`, in place, on these rows (int64) of the training file alone; it is left in evaluation mode.

    Early stopping looks at `calibration_rows` (int64); None stands for all calibration rows of the classes that are
    fitted. Each row's softmax is over the retained classes of its task, or of all where there are no tasks. Same seed,
    threads, torch and kind of CPU: same bits. Raises NotApplicable for rows of classes that are forgotten or of no
    task, batches of one with batch norm, and a loss that is not finite.
    """
    _check_fittable(model, data, rows, training)
    stopwatch = Stopwatch()
    model.to(context.device)
    with seeded(training.seed), deterministic_algorithms():
        fitting = _Fitting(
            model, data, rows, training, context, protection=protection, calibration_rows=calibration_rows
        )
        history, best_epoch = fitting.run()
    model.eval().zero_grad()
    spent = stopwatch.spent()
    return Fit(spent.wall, spent.cpu, len(history), best_epoch, tuple(history))


class _Fitting:
    """The state of one fit: optimizer, schedule, order of the batches, and the best weights so far."""

    def __init__(
        self,
        model: Classifier,
        data: Dataset,
        rows: Tensor,
        training: Training,
        context: Context,
        *,
        protection: Protection | None,
        calibration_rows: Tensor | None,
    ) -> None:
        self.model, self.data, self.rows, self.training, self.context = model, data, rows, training, context
        self.protection = protection
        self.num_batches = len(_batches(rows, training.batch_size))
        self.optimizer = _optimizer(model, training)
        self.schedule = _schedule(self.optimizer, training, self.num_batches)
        self.all_compete = bool(model.task_classes.all()) and not bool(model.forgotten.any())
        self.generator = torch.Generator().manual_seed(training.seed)
        self.throttle = Throttle()
        held_out = data.calibration_rows if calibration_rows is None else calibration_rows
        self.calibration_rows = rows_of(data.train_labels, held_out, classes_of(data.train_labels[rows]))

    def run(self) -> tuple[list[Epoch], int]:
        """Fit; gives the epochs, and the number of the epoch whose weights were kept."""
        history: list[Epoch] = []
        best, best_loss, best_weights = 0, float("inf"), None
        for number in range(1, self.training.epochs + 1):
            history.append(self._epoch(number))
            if not self.training.early_stopping:
                best = number
                continue
            loss = history[-1].calibration_loss
            assert loss is not None
            if loss < best_loss:
                best, best_loss, best_weights = number, loss, _copied_state(self.model)
            elif number - best >= self.training.early_stopping:
                break
        if best_weights is not None:
            self.model.load_state_dict(best_weights)
        return history, best

    def _epoch(self, number: int) -> Epoch:
        self.model.train()
        order = self.rows[torch.randperm(len(self.rows), generator=self.generator)]
        total = torch.zeros((), device=self.context.device)
        for index, batch in enumerate(_batches(order, self.training.batch_size)):
            if self.throttle.due():
                self._report(number, index)
            total += self._step(batch) * len(batch)
        training_loss = float(total) / len(order)
        if not torch.isfinite(total):
            raise NotApplicable(f"The loss was not finite in epoch {number}; train with a lower learning rate.")
        self._report(number, self.num_batches, f", loss {training_loss:.4f}")
        return Epoch(training_loss, self._calibration_loss() if self.training.early_stopping else None)

    def _step(self, batch: Tensor) -> Tensor:
        images = images_at(self.data.train_images, batch, self.context.device)
        labels = self.data.train_labels[batch].to(self.context.device)
        logits = self.model(images)
        loss = functional.cross_entropy(logits if self.all_compete else self.model.within_tasks(logits, labels), labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
        if self.protection is not None:
            self.protection.after_backward()
        self.optimizer.step()
        if self.protection is not None:
            self.protection.after_step()
        if self.schedule is not None:
            self.schedule.step()
        return loss.detach()

    def _report(self, epoch: int, batch: int, remark: str = "") -> None:
        fraction = (epoch - 1 + batch / self.num_batches) / self.training.epochs
        place = f"epoch {epoch} of {self.training.epochs}, batch {batch} of {self.num_batches}"
        self.context.report(fraction, "training", place + remark)

    def _calibration_loss(self) -> float:
        self.model.eval()
        logits = raw_logits(self.model, self.data.train_images, self.calibration_rows, self.context.device)
        labels = self.data.train_labels[self.calibration_rows]
        logits = self.model.within_tasks(logits.to(self.context.device), labels).cpu()
        return float(functional.cross_entropy(logits, labels))


@torch.inference_mode()
def raw_logits(model: Classifier, images: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """Raw logits, float32 [len(rows), num_classes] on the CPU, of these rows of uint8 images [N, C, H, W]."""
    batches = in_batches(rows, _EVALUATION_BATCH)
    return torch.cat([model(images_at(images, batch, device)).cpu() for batch in batches])


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Make torch raise rather than compute in an order that changes from run to run; for the time of the block."""
    # Not `use_deterministic_algorithms`, which does the same and loads the compiler for it: seconds in a fresh process.
    before = torch.get_deterministic_debug_mode()
    fill_before = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]  # a module property
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory helps to find reads of uninitialised memory in new kernels, and costs time in every step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # for the same reason
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        torch.utils.deterministic.fill_uninitialized_memory = fill_before  # type: ignore[attr-defined]  # for the same reason


def _check_fittable(model: Classifier, data: Dataset, rows: Tensor, training: Training) -> None:
    if len(rows) == 0:
        raise NotApplicable("There are no rows to train on.")
    forgotten = rows_of(data.train_labels, rows, model.forgotten_classes)
    if len(forgotten):
        raise NotApplicable("Rows of a forgotten class cannot be trained on; leave them out.")
    unlearned = classes_of(data.train_labels[rows]) - set(model.learned_classes)
    if unlearned:
        raise NotApplicable(f"Class {min(unlearned)} is of no task; name only rows of the tasks' classes.")
    one_row = min(len(rows), training.batch_size) == 1
    if one_row and any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        raise NotApplicable("Networks with batch norm need batches of at least 2 images.")


def _batches(rows: Tensor, batch_size: int) -> list[Tensor]:
    """Rows, int64 [N], in batches; a single row left over joins the batch before: batch norm has no variance of one."""
    batches = in_batches(rows, batch_size)
    if len(batches) > 1 and len(batches[-1]) == 1 and batch_size > 1:
        return [*batches[:-2], torch.cat(batches[-2:])]
    return batches


def _optimizer(model: Classifier, training: Training) -> torch.optim.Optimizer:
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=training.momentum, weight_decay=decay, fused=True)
    return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay, fused=True)


def _schedule(
    optimizer: torch.optim.Optimizer, training: Training, num_batches: int
) -> torch.optim.lr_scheduler.LRScheduler | None:
    if training.schedule == "constant":
        return None
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=training.epochs * num_batches)


def _copied_state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
