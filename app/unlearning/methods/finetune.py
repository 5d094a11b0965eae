"""Fine-tuning: further steps on the retain set alone, at as high a rate as the network bears."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor

from app.method_parameters import FinetuneParameters
from app.unlearning.architectures import Classifier
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.methods.method import Computed
from app.unlearning.methods.steps import Batches, adam, cross_entropy, descend, images_of, refresh_statistics
from app.unlearning.methods.tuning import Attempt, Judge, choose
from app.unlearning.partition import Partition

LEARNING_RATES = (0.01, 0.005, 0.002, 0.001)
"""Of Adam, tried in this order; half of them above what a network of this size is trained with."""


def finetune(
    original: Classifier,
    data: Dataset,
    partition: Partition,
    parameters: FinetuneParameters,
    context: Context,
    *,
    seed: int,
) -> Computed:
    """Descend on the cross-entropy of the retain set; the class to forget competes, and nothing ever speaks for it."""
    judge = Judge(original, data, partition, parameters.utility_budget, context, seed=seed, reads_forget_set=False)

    def attempt(learning_rate: float, part: Context) -> Attempt:
        model, batches = deepcopy(original), Batches(judge.rows, parameters.batch_size, seed)

        def loss() -> Tensor:
            rows = batches.draw()
            return cross_entropy(model, model(images_of(data, rows, part)), data.train_labels[rows])

        descend(adam(model, learning_rate), loss, parameters.steps, part)
        refresh_statistics(model, data, judge.rows, seed, part)
        return Attempt(model, {})

    candidates = LEARNING_RATES if parameters.learning_rate is None else (parameters.learning_rate,)
    choice = choose("learning_rate", candidates, attempt, judge, context)
    return Computed(choice.model, choice.settings)
