"""Small parameters of every method, and what is measured of their results."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.neggrad_plus import NegGradPlusParameters
from app.specs.methods.projection import ProjectionParameters
from app.specs.methods.retrain import RetrainParameters
from app.specs.methods.scrub import ScrubParameters
from app.specs.methods.sisa import SisaParameters
from app.specs.methods.ssd import SsdParameters
from app.specs.refusing import Budgets
from app.specs.training import Training
from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset, images_as_float
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.training import fit
from app.unlearning.methods import METHODS
from app.unlearning.methods.method import MethodResult
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import fitted

CONTEXT = Context()
TRAINING = Training(epochs=6, batch_size=32)
"""As `blobs.fitted` fits."""
NAMES = [name for name, spec in METHOD_SPECS.items() if "standard" in spec.modes and name != "edit"]
"""Methods that do not strike by themselves."""
SAMPLE_METHODS = [name for name in NAMES if "samples" in METHOD_SPECS[name].targets]
BLIND_METHODS = [name for name in NAMES if not METHOD_SPECS[name].reads_forget_set]


def defaults(name: MethodName) -> Budgets:
    """The method's own defaults, and a recipe where it needs one."""
    return RetrainParameters(training=TRAINING) if name == "retrain" else METHOD_SPECS[name].parameters()


def few_steps(name: MethodName) -> Budgets:
    """Parameters with which the method ends soon, whatever it reaches."""
    parameters = defaults(name)
    few: dict[str, Any] = {"learning_rate": 0.001, "steps": 4}
    match parameters:
        case RetrainParameters():
            few = {"training": replace(TRAINING, epochs=1)}
        case ScrubParameters():
            few = {"learning_rate": 0.001, "rounds": 1, "forget_steps": 2, "retain_steps": 2}
        case SsdParameters() | ProjectionParameters() | SisaParameters():
            few = {}
        case NegGradPlusParameters():
            few = {"forget_weight": 0.2, "steps": 4}
    return replace(parameters, **few)


def forget(
    name: MethodName,
    original: Classifier,
    data: Dataset,
    partition: Partition,
    *,
    seed: int = 3,
    context: Context = CONTEXT,
) -> MethodResult:
    """The method with its defaults."""
    return METHODS[name].run(Case(Parent(original), data, partition), defaults(name), context, seed=seed)


def retrained(original: Classifier, data: Dataset, partition: Partition, seed: int) -> Classifier:
    """A reference: fresh weights, the retain set alone."""
    return forget("retrain", original, data, partition, seed=seed).model


def before_striking(name: MethodName, original: Classifier, data: Dataset, partition: Partition) -> Classifier:
    """What the method makes of the weights by itself: the classes to forget still compete."""
    computed = METHODS[name].compute(Case(Parent(deepcopy(original)), data, partition), defaults(name), CONTEXT, seed=3)
    return computed.model.eval()


@torch.inference_mode()
def probabilities(model: Classifier, data: Dataset, rows: Tensor) -> Tensor:
    """Of training rows, float32 [N, C], over the classes that are not struck."""
    logits = model(images_as_float(data.train_images[rows]))
    found: Tensor = logits.masked_fill(model.forgotten, -torch.inf).softmax(dim=1)
    return found


def divergence(first: Tensor, second: Tensor) -> float:
    """Mean Jensen-Shannon divergence in bits, 0..1, of two float32 [N, C]."""
    middle = (first + second) / 2
    sides = [torch.special.xlogy(side, side / middle.clamp_min(1e-12)).sum(dim=1) for side in (first, second)]
    return float((sides[0] + sides[1]).mean() / 2 / torch.log(torch.tensor(2.0)))


def poisoned(data: Dataset, *kept: Tensor) -> Dataset:
    """The same data set, every image inverted but those of these training rows."""
    images = 255 - data.train_images
    rows = torch.cat(kept)
    images[rows] = data.train_images[rows]
    changed = {entry.name: getattr(data, entry.name) for entry in fields(data)}
    return Dataset(**{**changed, "train_images": images, "test_images": 255 - data.test_images})


def fitted_without(data: Dataset, classes: list[int]) -> Classifier:
    """A network fitted to all but some classes, which it then forgot."""
    model = fitted(data)
    model.mark_forgotten(classes)
    partition = Partition.of(data, classes)
    fit(model, data, partition.train.retain, Training(epochs=1, batch_size=32), CONTEXT)
    return model
