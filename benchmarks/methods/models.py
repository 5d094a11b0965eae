"""The networks that methods start from and are compared with: trained once, kept in a folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from app.specs.methods.retrain import RetrainParameters
from app.unlearning import case as unlearning
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit
from app.unlearning.methods import METHODS
from app.unlearning.partition import Partition
from benchmarks.methods.setting import Case
from benchmarks.study import ARCHITECTURES


@dataclass(frozen=True)
class Trained:
    """A network and what it cost."""

    model: Classifier
    seconds: float
    """Process CPU time."""


def original(case: Case, data: Dataset, folder: Path) -> Trained:
    """The network that is to forget; shared by all cases of one architecture, seed and recipe."""

    def train() -> Classifier:
        model = _fresh(case, data)
        fit(model, data, data.train_rows, case.training, Context())
        return model

    path = folder / f"{case.architecture}-{case.seed}-{case.training.epochs}.pt"
    return _load(case, data, path) if path.exists() else _keep(train, path)


def reference(case: Case, data: Dataset, partition: Partition, seed: int, folder: Path) -> Trained:
    """A network retrained without what is to be forgotten."""

    def train() -> Classifier:
        parameters = RetrainParameters(training=case.training)
        work = unlearning.Case(unlearning.Parent(_fresh(case, data)), data, partition)
        return METHODS["retrain"].run(work, parameters, Context(), seed=seed).model

    path = folder / f"{case.architecture}-{case.seed}-{case.target.name}-reference-{seed}.pt"
    return _load(case, data, path) if path.exists() else _keep(train, path)


def _fresh(case: Case, data: Dataset) -> Classifier:
    return build(ARCHITECTURES[case.architecture], data.input_shape, data.num_classes, case.seed)


def _keep(train: Callable[[], Classifier], path: Path) -> Trained:
    path.parent.mkdir(parents=True, exist_ok=True)
    start = time.process_time()
    trained = Trained(train(), time.process_time() - start)
    partial = path.with_suffix(".partial")
    torch.save({"state": trained.model.state_dict(), "seconds": trained.seconds}, partial)
    partial.rename(path)
    return trained


def _load(case: Case, data: Dataset, path: Path) -> Trained:
    kept = torch.load(path, weights_only=True)
    model = _fresh(case, data)
    model.load_state_dict(kept["state"])
    return Trained(model.eval(), kept["seconds"])
