"""What methods that take optimisation steps share: seeded batches, the loop, and losses over what competes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.specs.methods.steps import SETTLING_STEPS, STEPS_BETWEEN_CHECKS
from app.unlearning.context import Context, Throttle
from app.unlearning.data import Dataset, images_at, in_batches
from app.unlearning.learning.architectures import Classifier

_STATISTICS_ROWS = 2000
_STATISTICS_BATCH = 200


class Batches:
    """Endless seeded batches of some rows of the training file; each row comes once before any comes again."""

    def __init__(self, rows: Tensor, size: int, seed: int) -> None:
        """`rows` int64 [N], N at least 1; batches have min(size, N) rows."""
        self._rows, self._size = rows, min(size, len(rows))
        self._generator = torch.Generator().manual_seed(seed)
        self._order = self._endless()

    def draw(self) -> Tensor:
        """The next rows, int64 [min(size, N)]."""
        return next(self._order)

    def _endless(self) -> Iterator[Tensor]:
        while True:
            order = self._rows[torch.randperm(len(self._rows), generator=self._generator)]
            yield from in_batches(order[: len(order) // self._size * self._size], self._size)


def images_of(data: Dataset, rows: Tensor, context: Context) -> Tensor:
    """Images as networks take them, float32 [N, C, H, W], of rows of the training file."""
    return images_at(data.train_images, rows, context.device)


def cross_entropy(model: Classifier, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the classes that `model` did not forget earlier; raw logits [N, C], labels int64 [N]."""
    return functional.cross_entropy(model.within_tasks(logits, labels), labels.to(logits.device))


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean over inputs of KL(teacher || student) in nats, of logits [N, K]; the teacher's may be -inf."""
    return functional.kl_div(student.log_softmax(dim=1), teacher.softmax(dim=1), reduction="batchmean")


def adam(model: Classifier, learning_rate: float) -> torch.optim.Optimizer:
    """Adam without weight decay: what has no gradient keeps its bits."""
    return torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)


def descend(
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[], Tensor],
    steps: int,
    context: Context,
    *,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    after_backward: Callable[[], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> int:
    """Take at most `steps` steps down `loss_of`, which draws its batch; gives the number of steps taken.

    `stop` is asked now and then. A loss that is not finite ends the descent, too; the code that judges the model then
    finds the damage.
    """
    throttle = Throttle()
    for step in range(1, steps + 1):
        context.check()
        if throttle.due():
            context.report((step - 1) / steps, "unlearning", f"step {step} of {steps}")
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
        if after_backward is not None:
            after_backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        if step % STEPS_BETWEEN_CHECKS == 0 and (not torch.isfinite(loss) or (stop is not None and stop())):
            break
    optimizer.zero_grad()
    return step


def settle(
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[], Tensor],
    context: Context,
    *,
    steps: int = SETTLING_STEPS,
    after_backward: Callable[[], None] | None = None,
) -> None:
    """Take steps down `loss_of`, a loss on the retain set, while the learning rate falls to 0 along half a cosine."""
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    descend(optimizer, loss_of, steps, context, schedule=schedule, after_backward=after_backward)


@torch.no_grad()
def refresh_statistics(model: Classifier, data: Dataset, rows: Tensor, seed: int, context: Context) -> None:
    """Measure the statistics of batch norm anew, in place, on at most 2,000 of these rows: the old ones saw the forget set."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    batches = Batches(rows, _STATISTICS_BATCH, seed)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches (torch's cumulative average)
        norm.train()
    for _ in range(-(-min(len(rows), _STATISTICS_ROWS) // _STATISTICS_BATCH)):
        context.check()
        model(images_of(data, batches.draw(), context))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
