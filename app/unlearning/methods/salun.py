"""SalUn: random wrong labels for the forget set, learned in the weights alone that its loss is steep in."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from app.errors import NotApplicable
from app.specs.methods.salun import TUNED, SalunParameters
from app.specs.methods.steps import SETTLING_STEPS_AFTER_WRONG_ANSWERS
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.data import Dataset, in_batches
from app.unlearning.learning.architectures import Classifier
from app.unlearning.methods.method import Computed
from app.unlearning.methods.steps import (
    Batches,
    adam,
    cross_entropy,
    descend,
    images_of,
    refresh_statistics,
    settle,
)
from app.unlearning.methods.tuning import Attempt, Judge, choose
from app.unlearning.partition import Partition

_BATCH = 256


def compute(case: Case, parameters: SalunParameters, context: Context, *, seed: int) -> Computed:
    """Learn wrong labels of the forget set and the right ones of the retain set in the salient weights; the rate is tuned.

    Raises NotApplicable where fewer than two classes would be left to draw wrong labels from.
    """
    original, data, partition = case.original, case.data, case.partition
    judge = Judge(case, parameters.utility_budget, context, seed=seed, reads_forget_set=True)
    masks = salient(original, data, partition.train.forget, parameters.share, context)
    labels = wrong_labels(data, partition, seed)

    def attempt(learning_rate: float, part: Context) -> Attempt:
        model = deepcopy(original)
        retain = Batches(judge.rows, parameters.batch_size, seed)
        forget = Batches(partition.train.forget, max(1, parameters.batch_size // 2), seed)

        def loss_of(batches: Batches) -> Tensor:
            rows = batches.draw()
            return cross_entropy(model, model(images_of(data, rows, part)), labels[rows])

        def hold_the_rest() -> None:
            for parameter, mask in zip(model.parameters(), masks, strict=True):
                assert parameter.grad is not None
                parameter.grad.mul_(mask)

        optimizer = adam(model, learning_rate)
        steps = descend(
            optimizer,
            lambda: loss_of(retain) + loss_of(forget),
            parameters.steps,
            part.part(0.0, 0.8),
            after_backward=hold_the_rest,
            stop=lambda: judge.forgotten(model),
        )
        settle(
            optimizer,
            lambda: loss_of(retain),
            part.part(0.8, 1.0),
            steps=SETTLING_STEPS_AFTER_WRONG_ANSWERS,
            after_backward=hold_the_rest,
        )
        refresh_statistics(model, data, judge.rows, seed, part)
        return Attempt(model, {"steps_taken": steps})

    choice = choose(TUNED.setting, TUNED.candidates(parameters, partition.kind), attempt, judge, context)
    return Computed(choice.model, choice.settings)


def salient(model: Classifier, data: Dataset, rows: Tensor, share: float, context: Context) -> list[Tensor]:
    """For each parameter, float32 1 where a value is among those of greatest gradient on these rows, 0 elsewhere.

    All parameters are ranked together, as in equation 3 of the paper: one threshold holds for the whole network.
    """
    totals = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for batch in in_batches(rows, _BATCH):
        context.check()
        loss = cross_entropy(model, model(images_of(data, batch, context)), data.train_labels[batch]) * len(batch)
        for total, gradient in zip(totals, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            total.add_(gradient)
    steepness = torch.cat([total.abs().flatten() for total in totals])  # [P], all parameters
    steepest = steepness.argsort(descending=True, stable=True)[: max(1, round(share * len(steepness)))]
    mask = torch.zeros_like(steepness)
    mask[steepest] = 1.0
    parts = torch.split(mask, [total.numel() for total in totals])  # [P] cut by parameter
    return [part.view(total.shape) for part, total in zip(parts, totals, strict=True)]


def wrong_labels(data: Dataset, partition: Partition, seed: int) -> Tensor:
    """The labels of the training file, int64 [N]; those of the forget set are replaced by other retained classes."""
    classes = torch.tensor(partition.retain_classes, dtype=torch.int64)
    rows = partition.train.forget
    right = data.train_labels[rows]
    among = torch.isin(right, classes)  # of samples; the label of a class to forget is none of the retained
    if len(classes) - int(among.any()) < 1:
        raise NotApplicable("With a single class left there is no wrong label to learn; use another method.")
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(len(rows), dtype=torch.float64, generator=generator)  # [F], 0..1
    places = (draws * (len(classes) - among.long())).long()  # [F], places in classes
    places += (among & (places >= torch.searchsorted(classes, right))).long()  # pass over the right one
    labels = data.train_labels.clone()
    labels[rows] = classes[places]
    return labels
