"""Fine-tuning: further steps on the retain set alone, at as high a rate as the network bears."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor

from app.specs.methods.finetune import TUNED, FinetuneParameters
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.methods.method import Computed
from app.unlearning.methods.steps import Batches, adam, cross_entropy, descend, images_of, refresh_statistics
from app.unlearning.methods.tuning import Attempt, Judge, choose


def compute(case: Case, parameters: FinetuneParameters, context: Context, *, seed: int) -> Computed:
    """Descend on the cross-entropy of the retain set; the class to forget competes, and is never the right one."""
    original, data, partition = case.original, case.data, case.partition
    judge = Judge(case, parameters.utility_budget, context, seed=seed, reads_forget_set=False)

    def attempt(learning_rate: float, part: Context) -> Attempt:
        model, batches = deepcopy(original), Batches(judge.rows, parameters.batch_size, seed)

        def loss() -> Tensor:
            rows = batches.draw()
            return cross_entropy(model, model(images_of(data, rows, part)), data.train_labels[rows])

        descend(adam(model, learning_rate), loss, parameters.steps, part)
        refresh_statistics(model, data, judge.rows, seed, part)
        return Attempt(model, {})

    choice = choose(TUNED.setting, TUNED.candidates(parameters, partition.kind), attempt, judge, context)
    return Computed(choice.model, choice.settings)
