"""How a model comes to answer for forgotten classes: the null unit, its threshold, and pushing inputs towards it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.errors import NotApplicable
from app.specs import CONVOLUTIONAL_PUSH_STEPS, PUSH_BATCH, PUSH_STEPS, Edit, Mlp, Progressive
from app.unlearning.architectures import Classifier
from app.unlearning.collapse import spread_of_forgotten
from app.unlearning.context import Context, Throttle
from app.unlearning.data import Dataset, images_as_float
from app.unlearning.growing import NO_TASK, owners
from app.unlearning.partition import Partition, rows_of
from app.unlearning.training import raw_logits

FORGET_BATCH = PUSH_BATCH // 3
RETAIN_BATCH = PUSH_BATCH - FORGET_BATCH
LEARNING_RATE = 3e-3
"""Of Adam, at the first step of `push`; half a cosine brings it to 0 at the last."""
CONNECTED_LEARNING_RATE = 1e-2
"""The same of fully connected networks, and of all without convolutions that learned tasks: those have more to learn, not
having seen two tasks beside each other. MNIST, without tasks, two seeds, every digit, calibration rows: refused .986 on
average and .978 of the worst digit, with 3e-3 .983 and .960; retained answers right as often, .4 % refused either way."""

_CLEARANCE = 1e-4  # logits, relative: the same image in a batch of another size moves by about 1e-6


def fit_refusal(model: Classifier, data: Dataset, partition: Partition, edit: Edit, context: Context) -> None:
    """Fit, in place, what `edit.refusal` asks for; every forgotten class is already struck.

    `none` leaves everything as it is, `calibrate` (and `guard`, for when the guard will be deleted) sets the null unit's logit from retained calibration rows alone, and
    `push` first trains on training rows of every class forgotten so far, so that refusals stack.
    """
    if edit.refusal == "none":
        return
    if edit.refusal == "push":
        collapse_weight = edit.parameters.collapse_weight if len(partition.forgotten_classes) > 1 else 0.0
        push(model, data, partition, edit, context, collapse_weight=collapse_weight)
    calibrate(model, data, partition.calibration.retain, edit.parameters.refusal_budget, context.device)


def calibrate(model: Classifier, data: Dataset, rows: Tensor, budget: float, device: torch.device) -> None:
    """Set the null unit's logit, in place, from these retained rows (int64) of the training file.

    It becomes the highest one whose refusals cost at most the share `budget` (0..0.5) of the answers that are right:
    of all rows with no task named and, for a task of which a part is forgotten, of its own rows with the task named.
    Raises NotApplicable where no answer is right.
    """
    logits, labels = raw_logits(model, data.train_images, rows, device), data.train_labels[rows]
    model.null_bias.fill_(_null_bias(logits, labels, model.competing(), budget))
    for task in partly_forgotten_tasks(model):
        among = model.task_classes[task].cpu()[labels]
        model.task_null_biases[task] = _null_bias(logits[among], labels[among], model.competing(task), budget)


def _null_bias(logits: Tensor, labels: Tensor, competing: Tensor, budget: float) -> float:
    """The null unit's logit for raw logits [N, C] of which these classes, bool [C], compete; labels int64 [N]."""
    if len(labels) == 0:
        raise NotApplicable("There is no retained calibration input of the task, so its refusal cannot be fitted.")
    highest, answers = logits.masked_fill(~competing.cpu(), -torch.inf).max(dim=1)
    right = highest[answers == labels]
    if len(right) == 0:
        raise NotApplicable("The model answers no retained calibration input right, so no refusal can be fitted.")
    return loosest_threshold(right, budget)


def partly_forgotten_tasks(model: Classifier) -> list[int]:
    """The tasks, by index, of which some classes are forgotten and others stay; none where there are no tasks."""
    if not model.learning.tasks:
        return []
    gone = (model.task_classes & model.forgotten).any(dim=1)
    staying = (model.task_classes & ~model.forgotten).any(dim=1)
    return (gone & staying).nonzero().flatten().tolist()


def loosest_threshold(scores: Tensor, budget: float) -> float:
    """The highest value (less a clearance for rounding) below which at most the share `budget` of scores [N] lie."""
    threshold = float(scores.sort().values[int(budget * len(scores))])
    return threshold - _CLEARANCE * (1 + abs(threshold))


def push(
    model: Classifier,
    data: Dataset,
    partition: Partition,
    edit: Edit,
    context: Context,
    *,
    collapse_weight: float = 0.0,
) -> None:
    """Train, in place, so that inputs of forgotten classes fall to the null unit and retained ones to their own.

    Cross-entropy over the retained units and the null unit at logit 0, on batches of retained and forgotten training
    rows, the latter drawn equally from every class forgotten so far. In evaluation mode throughout: statistics of
    batch norm belong to the distribution of all inputs, and a third of each batch here is of few classes.
    The output rows of forgotten classes keep their values, and connections that do not exist stay zero. No task is
    named, but for the rows of tasks of which a part is forgotten: their loss with the task named is added. With a
    `collapse_weight`, so many times the spread of the forgotten features is added, too: see `collapse`.
    """
    struck = model.forgotten.nonzero().flatten()
    rows_before, biases_before = model.head.weight[struck].detach(), model.head.bias[struck].detach()
    model.null_bias.zero_()
    partly, missing = partly_forgotten_tasks(model), _missing_connections(model)
    if partly:
        model.task_null_biases[partly] = 0.0
    steps, batches = push_steps(model, edit), _PushBatches(data, partition, edit.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=_learning_rate(model), fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    throttle = Throttle()
    for step in range(steps):
        if throttle.due():
            context.report(step / steps, "refusal", f"step {step} of {steps}")
        rows = batches.draw()
        labels = data.train_labels[rows]
        targets = torch.where(torch.isin(labels, batches.forgotten), model.num_classes, labels)
        images = images_as_float(data.train_images[rows].to(context.device))
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
    """Mean cross-entropy of the images, and of those of the tasks `partly` once more with their task named.

    Beside it the images' features, float32 [N, D].
    """
    features = model.body(images)
    logits = model.head(features)
    loss = functional.cross_entropy(model.serve(logits), targets)
    rows_of_task = {task: model.task_classes[task][labels] for task in partly}
    if not any(rows.any() for rows in rows_of_task.values()):
        return loss, features
    named = torch.cat([model.serve(logits[rows], task) for task, rows in rows_of_task.items()])
    loss = loss + functional.cross_entropy(named, torch.cat([targets[rows] for rows in rows_of_task.values()]))
    return loss, features


def _missing_connections(model: Classifier) -> list[tuple[nn.Parameter, Tensor]]:
    """The parameters of a growing network, each with what of it does not exist, bool; of other networks nothing."""
    if not isinstance(model.learning, Progressive):
        return []
    device = model.head.weight.device
    return [(model.get_parameter(name), (owner == NO_TASK).to(device)) for name, owner in owners(model).items()]


def push_steps(model: Classifier, edit: Edit) -> int:
    """How many steps `push` takes: as asked, or as many as this kind of network needs."""
    steps = CONVOLUTIONAL_PUSH_STEPS if _convolutional(model) else PUSH_STEPS[model.learning.mode]
    return edit.parameters.push_steps or steps


def _learning_rate(model: Classifier) -> float:
    if _convolutional(model):
        return LEARNING_RATE
    connected = isinstance(model.architecture, Mlp)
    return CONNECTED_LEARNING_RATE if connected or model.learning.tasks else LEARNING_RATE


def _convolutional(model: Classifier) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


class _PushBatches:
    """Seeded draws, with replacement, of retained rows and of rows of each forgotten class."""

    def __init__(self, data: Dataset, partition: Partition, seed: int) -> None:
        self.forgotten = torch.tensor(partition.forgotten_classes, dtype=torch.int64)
        self._retain = partition.train.retain
        forget = [rows_of(data.train_labels, data.train_rows, [number]) for number in partition.forgotten_classes]
        self._forget = torch.cat(forget)  # class by class
        self._counts = torch.tensor([len(rows) for rows in forget])
        self._starts = self._counts.cumsum(0) - self._counts
        self._turn = 0
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self) -> Tensor:
        """Rows, int64 [RETAIN_BATCH + FORGET_BATCH], of the training file; the forgotten classes take turns."""
        retain = self._retain[torch.randint(len(self._retain), (RETAIN_BATCH,), generator=self._generator)]
        turns = torch.arange(self._turn, self._turn + FORGET_BATCH) % len(self._counts)
        self._turn += FORGET_BATCH
        shares = torch.rand(FORGET_BATCH, dtype=torch.float64, generator=self._generator)
        return torch.cat([retain, self._forget[self._starts[turns] + (shares * self._counts[turns]).long()]])
