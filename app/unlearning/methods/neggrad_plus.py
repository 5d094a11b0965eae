"""NegGrad+: down the loss of the retain set, and up that of the forget set."""

from __future__ import annotations

import math
from copy import deepcopy

from torch import Tensor
from torch.nn import functional

from app.specs.methods.neggrad_plus import TUNED, NegGradPlusParameters
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.methods.method import Computed
from app.unlearning.methods.steps import Batches, adam, descend, images_of, refresh_statistics, settle
from app.unlearning.methods.tuning import Attempt, Judge, choose


def compute(case: Case, parameters: NegGradPlusParameters, context: Context, *, seed: int) -> Computed:
    """Descend on (1 - b) CE(retain) - b CE(forget) until the forget set is forgotten; b is tuned.

    An image's loss is raised to twice that of a guess among all classes, and no further: an ascent without an end takes
    the retain set with it.
    """
    original, data, partition = case.original, case.data, case.partition
    judge = Judge(case, parameters.utility_budget, context, seed=seed, reads_forget_set=True)

    highest = 2 * math.log(int(original.competing().sum()))

    def attempt(forget_weight: float, part: Context) -> Attempt:
        model = deepcopy(original)
        retain = Batches(judge.rows, parameters.batch_size, seed)
        forget = Batches(partition.train.forget, max(1, parameters.batch_size // 2), seed)

        def losses(batches: Batches) -> Tensor:
            rows = batches.draw()
            logits = model.within_tasks(model(images_of(data, rows, part)), data.train_labels[rows])
            return functional.cross_entropy(logits, data.train_labels[rows].to(part.device), reduction="none")

        def loss() -> Tensor:
            ascent = losses(forget).clamp(max=highest).mean()
            return (1 - forget_weight) * losses(retain).mean() - forget_weight * ascent

        optimizer = adam(model, parameters.learning_rate)
        steps = descend(optimizer, loss, parameters.steps, part.part(0.0, 0.8), stop=lambda: judge.forgotten(model))
        settle(optimizer, lambda: losses(retain).mean(), part.part(0.8, 1.0))
        refresh_statistics(model, data, judge.rows, seed, part)
        return Attempt(model, {"steps_taken": steps})

    choice = choose(TUNED.setting, TUNED.candidates(parameters, partition.kind), attempt, judge, context)
    return Computed(choice.model, choice.settings)
