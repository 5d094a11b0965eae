"""Retraining: fresh weights, and the retain set alone; the reference for every other method."""

from __future__ import annotations

from dataclasses import asdict, replace

from app.errors import NotApplicable
from app.specs.learning import Sisa
from app.specs.methods.retrain import RetrainParameters
from app.specs.training import Training
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.continual import learn_tasks
from app.unlearning.learning.sisa.learning import Recipe, train_sharded
from app.unlearning.learning.training import fit
from app.unlearning.methods.method import Computed, strike
from app.unlearning.partition import Partition


def compute(case: Case, parameters: RetrainParameters, context: Context, *, seed: int) -> Computed:
    """Fit a network of the same architecture and learning on the retain set; no value of the original is used.

    `seed` draws the weights and the order of the batches. Raises NotApplicable without a training recipe.
    """
    original, data, partition = case.original, case.data, case.partition
    if parameters.training is None:
        raise NotApplicable("Say how to train: the recipe of the model, as `training` of the parameters.")
    training = replace(parameters.training, seed=seed)
    if isinstance(original.learning, Sisa):
        recipe = Recipe(original.architecture, original.learning, training, partition.forgotten_classes)
        sharded = train_sharded(recipe, data, partition.train.retain, context)
        settings = {"training": asdict(training), "epochs": training.epochs}
        return Computed(sharded, settings, trained_on=partition.train.retain)
    model = build(original.architecture, original.input_shape, original.num_classes, seed, original.learning)
    strike(model, partition)
    if model.learning.tasks:
        return _by_tasks(model, data, partition, training, context)
    fitted = fit(model, data, partition.train.retain, training, context, calibration_rows=partition.calibration.retain)
    settings = {"training": asdict(training), "epochs": fitted.epochs, "best_epoch": fitted.best_epoch}
    return Computed(model, settings, trained_on=partition.train.retain)


def _by_tasks(model: Classifier, data: Dataset, partition: Partition, training: Training, context: Context) -> Computed:
    tasks, rows = range(len(model.learning.tasks)), partition.train.retain
    learned = learn_tasks(model, data, rows, tasks, training, known=(), importance={}, context=context)
    settings = {"training": asdict(training), "epochs": learned.epochs}
    return Computed(learned.model, settings, learned.importance, trained_on=rows)
