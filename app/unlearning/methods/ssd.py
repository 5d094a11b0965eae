"""Selective synaptic dampening: shrink the weights that matter to the forget set far more than to the retain set."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from app.method_parameters import SsdParameters
from app.unlearning.architectures import Classifier
from app.unlearning.context import Context
from app.unlearning.data import Dataset, in_batches
from app.unlearning.importance import FORGET_ROWS, RETAIN_ROWS, ByTensor, empirical_fisher
from app.unlearning.methods.method import Computed
from app.unlearning.methods.steps import images_of, refresh_statistics
from app.unlearning.methods.tuning import Attempt, Judge, choose
from app.unlearning.partition import Partition

SELECTIONS = (100.0, 50.0, 20.0, 10.0, 5.0, 2.0)
"""Tried in this order; ten is the published value for a class of ten."""

_BATCH = 500


def ssd(
    original: Classifier, data: Dataset, partition: Partition, parameters: SsdParameters, context: Context, *, seed: int
) -> Computed:
    """Dampen weights and head by their per-sample Fisher information; how many are selected is tuned.

    Biases of hidden layers and the parameters of batch norm stay: they act on a whole unit, for every class alike.
    """
    judge = Judge(original, data, partition, parameters.utility_budget, context, seed=seed, reads_forget_set=True)
    generator = torch.Generator().manual_seed(seed)
    forget = _fisher(original, data, _draw(partition.train.forget, FORGET_ROWS, generator), context)
    retain = _fisher(original, data, _draw(judge.rows, RETAIN_ROWS, generator), context)

    def attempt(selection: float, part: Context) -> Attempt:
        model = deepcopy(original)
        dampened = dampen(model, forget, retain, selection, parameters.dampening)
        refresh_statistics(model, data, judge.rows, seed, part)
        return Attempt(model, {"dampened": dampened})

    candidates = SELECTIONS if parameters.selection is None else (parameters.selection,)
    choice = choose("selection", candidates, attempt, judge, context)
    return Computed(choice.model, choice.settings)


@torch.no_grad()
def dampen(model: Classifier, forget: ByTensor, retain: ByTensor, selection: float, dampening: float) -> dict[str, int]:
    """Shrink, in place, what is `selection` times as important to the forget set; how many values, by parameter name."""
    counts = {}
    for name, important in forget.items():
        selected = important > selection * retain[name]
        factor = (dampening * retain[name] / important.where(selected, 1.0)).clamp(max=1.0)
        model.get_parameter(name).mul_(torch.where(selected, factor, 1.0))
        counts[name] = int(selected.sum())
    return counts


def _fisher(model: Classifier, data: Dataset, rows: Tensor, context: Context) -> ByTensor:
    hidden = empirical_fisher(model, data.train_images[rows], data.train_labels[rows], context)
    return {**hidden, **head_fisher(model, data, rows, context)}


@torch.no_grad()
def head_fisher(model: Classifier, data: Dataset, rows: Tensor, context: Context) -> ByTensor:
    """The empirical Fisher information of the head's weights and biases.

    In closed form: the gradient of one image's cross-entropy is (p - onehot) features^T for the weights, and
    p - onehot for the biases.
    """
    weight, bias = torch.zeros_like(model.head.weight), torch.zeros_like(model.head.bias)
    for batch in in_batches(rows, _BATCH):
        context.check()
        labels = data.train_labels[batch].to(context.device)
        features = model.body(images_of(data, batch, context))
        residual = model.within_tasks(model.head(features), labels).softmax(dim=1)
        residual[torch.arange(len(batch)), labels] -= 1
        weight += residual.square().T @ features.square()
        bias += residual.square().sum(dim=0)
    return {"head.weight": weight / len(rows), "head.bias": bias / len(rows)}


def _draw(rows: Tensor, most: int, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:most]]
