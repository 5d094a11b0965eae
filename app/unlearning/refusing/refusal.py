"""How a model comes to answer for forgotten classes: the null unit, its threshold, and pushing inputs towards it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.errors import NotApplicable
from app.specs.architectures import Mlp
from app.specs.learning import Progressive
from app.specs.refusing import CONVOLUTIONAL_PUSH_STEPS, PUSH_BATCH, PUSH_STEPS, Refusing
from app.unlearning.context import Context, Throttle
from app.unlearning.data import Dataset, images_at
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.growing import NO_TASK, owners
from app.unlearning.learning.training import raw_logits
from app.unlearning.partition import Partition, rows_of
from app.unlearning.refusing.feature_collapse import spread_of_forgotten

FORGET_BATCH = PUSH_BATCH // 3
RETAIN_BATCH = PUSH_BATCH - FORGET_BATCH
LEARNING_RATE = 3e-3
"""Learning rate of Adam at the first step of `push`; half a cosine brings it to 0 at the last."""
CONNECTED_LEARNING_RATE = 1e-2
"""Learning rate for fully connected networks, and for all networks without convolutions that learned tasks: they have
more to learn, since they have not seen two tasks beside each other. MNIST, without tasks, two seeds, every digit,
calibration rows: refused .986 on average and .978 of the worst digit, with 3e-3 .983 and .960; retained answers right
as often, .4 % refused either way."""

LEAST_SPENT = 0.0015
"""Share of right answers that may always be spent: a few hundred inputs do not tell .99 from .98, and this buys the margin."""
_STEPS_DRAWN = 100
_CLEARANCE = 1e-4  # logits, relative: the same image in a batch of another size moves by about 1e-6


def fit_refusal(model: Classifier, data: Dataset, partition: Partition, refusing: Refusing, context: Context) -> None:
    """Fit, in place, the refusal that is asked for; every forgotten class is already struck.

    `none` leaves everything as it is. `calibrate` sets the null unit's logit from retained calibration rows alone, and
    so does `guard`, for the time after the guard is deleted. `push` first trains on training rows of every class
    forgotten so far, so that refusals stack, and then looks at calibration rows of those classes, too: it spends no
    more of the budget than they need.
    """
    if refusing.refusal == "none":
        return
    forgotten = None
    if refusing.refusal == "push":
        push(model, data, partition, refusing, context)
        forgotten = rows_of(data.train_labels, data.calibration_rows, partition.forgotten_classes)
    calibrate(
        model,
        data,
        partition.calibration.retain,
        refusing.budget(model.learning.mode, convolutional=is_convolutional(model)),
        context.device,
        forgotten=forgotten,
        target=refusing.refusal_target,
    )


def calibrate(
    model: Classifier,
    data: Dataset,
    rows: Tensor,
    budget: float,
    device: torch.device,
    *,
    forgotten: Tensor | None = None,
    target: float = 1.0,
) -> None:
    """Set the null unit's logit, in place, from these retained rows (int64) of the training file.

    Its refusals cost at most the share `budget` (0..0.5) of the answers that are right, counted over all rows with no
    task named and, for each task of which a part is forgotten, over its own rows with the task named. They cost no more
    than is needed to refuse the share `target` (0..1) of each class among the rows `forgotten` (int64); without any,
    all of the budget. Raises NotApplicable where no answer is right.
    """
    looked_at = rows if forgotten is None else torch.cat([rows, forgotten])
    logits, labels = raw_logits(model, data.train_images, looked_at, device), data.train_labels[looked_at]
    model.null_bias.fill_(_null_bias(model, logits, labels, budget=budget, target=target))
    for task in partly_forgotten_tasks(model):
        among = model.task_classes[task].cpu()[labels]  # bool [N]
        bias = _null_bias(model, logits[among], labels[among], budget=budget, target=target, task=task)
        model.task_null_biases[task] = bias


def _null_bias(
    model: Classifier, logits: Tensor, labels: Tensor, *, budget: float, target: float, task: int | None = None
) -> float:
    """The null unit's logit for raw logits [N, C] and labels int64 [N] of retained and of forgotten rows."""
    forgotten = model.forgotten.cpu()
    highest, answers = logits.masked_fill(~model.competing(task).cpu(), -torch.inf).max(dim=1)  # [N, C] -> [N], [N]
    retained = ~forgotten[labels]
    if not retained.any():
        raise NotApplicable("There is no retained calibration input of the task, so its refusal cannot be fitted.")
    right = highest[retained & (answers == labels)]  # scores of the rows that are answered right
    if len(right) == 0:
        raise NotApplicable("The model answers no retained calibration input right, so no refusal can be fitted.")
    of_each_class = [highest[labels == number] for number in set(labels[~retained].tolist())]
    return refusal_threshold(right, of_each_class, budget, target)


def partly_forgotten_tasks(model: Classifier) -> list[int]:
    """The tasks, by index, of which some classes are forgotten and others stay; empty where there are no tasks."""
    if not model.learning.tasks:
        return []
    gone = (model.task_classes & model.forgotten).any(dim=1)  # [T, C] -> [T]
    staying = (model.task_classes & ~model.forgotten).any(dim=1)
    return (gone & staying).nonzero().flatten().tolist()


def refusal_threshold(right: Tensor, forgotten: Sequence[Tensor], budget: float, target: float) -> float:
    """The value below which inputs are refused, given the scores [N] of retained inputs that are answered right.

    It costs at most the share `budget` of those, and no more than it takes to refuse the share `target` of each of the
    `forgotten` tensors of scores, or `LEAST_SPENT`; with none of these it costs all of the budget. What costs the same and refuses more
    is preferred: the value lies just below (by a clearance for rounding) the next score that would be lost.
    """
    ordered = right.sort().values
    allowed, least = int(budget * len(ordered)), int(LEAST_SPENT * len(ordered))
    needed = max((_cost_of_refusing(scores, target, ordered) for scores in forgotten), default=allowed)
    threshold = float(ordered[min(allowed, max(needed, least))])
    return threshold - _CLEARANCE * (1 + abs(threshold))


def _cost_of_refusing(scores: Tensor, target: float, ordered: Tensor) -> int:
    """How many of the scores `ordered`, [N], are lost where the share `target` of `scores`, [M], M > 0, is refused."""
    last_refused = scores.sort().values[math.ceil(target * len(scores)) - 1]
    return int(torch.searchsorted(ordered, last_refused, right=True))


def push(model: Classifier, data: Dataset, partition: Partition, refusing: Refusing, context: Context) -> None:
    """Train, in place, so that inputs of forgotten classes fall to the null unit, and retained ones to their own units.

    The loss is the cross-entropy over the retained units and the null unit at logit 0, on batches of retained and
    forgotten training rows; the forgotten rows are drawn equally from every class forgotten so far. The model stays in
    evaluation mode: statistics of batch norm belong to the distribution of all inputs, and a third of each batch here
    comes from few classes. The output rows of forgotten classes keep their values, and connections that do not exist
    stay zero. No task is named. For rows of tasks of which a part is forgotten, the loss with the task named is added.
    Where two or more classes are forgotten, the spread of their features times the `collapse_weight` is added, too: see
    `feature_collapse`.
    """
    struck = model.forgotten.nonzero().flatten()
    rows_before, biases_before = model.head.weight[struck].detach(), model.head.bias[struck].detach()
    model.null_bias.zero_()
    partly, missing = partly_forgotten_tasks(model), _missing_connections(model)
    if partly:
        model.task_null_biases[partly] = 0.0
    collapse_weight = refusing.collapse_weight if len(partition.forgotten_classes) > 1 else 0.0
    steps, batches = push_steps(model, refusing), _PushBatches(data, partition, refusing.seed)
    unit_of_class = torch.arange(model.num_classes).masked_fill(model.forgotten.cpu(), model.num_classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=_learning_rate(model), fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    throttle = Throttle()
    for step in range(steps):
        if throttle.due():
            context.report(step / steps, "refusal", f"step {step} of {steps}")
        rows = batches.draw()
        labels = data.train_labels[rows]
        targets = unit_of_class[labels]
        images = images_at(data.train_images, rows, context.device)
        loss, features = _push_loss(model, images, labels.to(context.device), targets.to(context.device), partly)
        if collapse_weight:
            loss = loss + collapse_weight * spread_of_forgotten(
                features, targets.to(context.device) == model.num_classes
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
        for parameter, absent in missing:
            assert parameter.grad is not None  # every unit is read by an output row
            parameter.grad.masked_fill_(absent, 0.0)  # of Adam without decay, gradients that are always 0 move nothing
        optimizer.step()
        schedule.step()
    model.zero_grad()
    with torch.no_grad():
        model.head.weight[struck], model.head.bias[struck] = rows_before, biases_before


def _push_loss(
    model: Classifier, images: Tensor, labels: Tensor, targets: Tensor, partly: list[int]
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of the images; images of the tasks `partly` count once more with their task named.

    Images are float32 [N, C, H, W], labels and targets int64 [N]. Also gives the images' features, float32 [N, D].
    """
    features = model.body(images)
    logits = model.head(features)
    loss = functional.cross_entropy(model.serve(logits), targets)
    rows_of_task = {task: model.task_classes[task][labels] for task in partly}  # bool [N] each
    if not any(rows.any() for rows in rows_of_task.values()):
        return loss, features
    named = torch.cat([model.serve(logits[rows], task) for task, rows in rows_of_task.items()])
    loss = loss + functional.cross_entropy(named, torch.cat([targets[rows] for rows in rows_of_task.values()]))
    return loss, features


def _missing_connections(model: Classifier) -> list[tuple[nn.Parameter, Tensor]]:
    """The parameters of a growing network, each with a bool mask of its missing connections; else none."""
    if not isinstance(model.learning, Progressive):
        return []
    device = model.head.weight.device
    return [(model.get_parameter(name), (owner == NO_TASK).to(device)) for name, owner in owners(model).items()]


def push_steps(model: Classifier, refusing: Refusing) -> int:
    """How many steps `push` takes: as asked, or as many as this kind of network needs."""
    steps = CONVOLUTIONAL_PUSH_STEPS if is_convolutional(model) else PUSH_STEPS[model.learning.mode]
    return refusing.push_steps or steps


def _learning_rate(model: Classifier) -> float:
    if is_convolutional(model):
        return LEARNING_RATE
    connected = isinstance(model.architecture, Mlp)
    return CONNECTED_LEARNING_RATE if connected or model.learning.tasks else LEARNING_RATE


def is_convolutional(model: Classifier) -> bool:
    """Whether any layer of the network is a convolution."""
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


class _PushBatches:
    """Seeded draws, with replacement, of retained rows and of rows of each forgotten class."""

    def __init__(self, data: Dataset, partition: Partition, seed: int) -> None:
        self._retain = partition.train.retain
        forgotten = partition.forgotten_classes
        forget = [rows_of(data.train_labels, data.train_rows, [number]) for number in forgotten]
        self._forget = torch.cat(forget)  # class by class
        self._counts = torch.tensor([len(rows) for rows in forget])  # [K]
        self._starts = self._counts.cumsum(0) - self._counts  # [K], where each class begins
        self._turn = 0
        self._generator = torch.Generator().manual_seed(seed)
        self._drawn: Iterator[Tensor] = iter(())

    def draw(self) -> Tensor:
        """Rows, int64 [RETAIN_BATCH + FORGET_BATCH], of the training file; the forgotten classes take turns."""
        rows = next(self._drawn, None)
        if rows is None:
            self._drawn = iter(self._draw_ahead())
            rows = next(self._drawn)
        return rows

    def _draw_ahead(self) -> Tensor:
        """The rows of the next steps, int64 [_STEPS_DRAWN, batch].

        Drawing them one step at a time takes a tenth of a small network's step.
        """
        retain = torch.randint(len(self._retain), (_STEPS_DRAWN, RETAIN_BATCH), generator=self._generator)
        turns = torch.arange(self._turn, self._turn + _STEPS_DRAWN * FORGET_BATCH) % len(self._counts)
        self._turn += len(turns)
        shares = torch.rand(len(turns), dtype=torch.float64, generator=self._generator)
        forget = self._forget[self._starts[turns] + (shares * self._counts[turns]).long()]  # [steps * batch]
        return torch.cat([self._retain[retain], forget.view(_STEPS_DRAWN, FORGET_BATCH)], dim=1)
