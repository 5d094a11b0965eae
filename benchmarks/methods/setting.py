"""What the study runs on: data, targets, seeds, and the rows of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from app.specs.methods import MethodName
from app.specs.refusing import Refusal
from app.specs.training import Training
from app.unlearning.data import Dataset
from app.unlearning.partition import Partition
from app.unlearning.sample_partition import of_samples

FIRST_SEED = 7102
"""Of the seeds FIRST_SEED, FIRST_SEED + 1, …; tune with none of them."""
RETRAIN_SEED = 100
"""Added to a run's seed for the row `retrain`."""
REFERENCE_SEED = 1000
"""Added to a run's seed for the first reference; the next ones take further thousands."""
NUM_REFERENCES = 3
"""Retrained models to compare with: of fewer nothing is approximate."""
NUM_SAMPLES = 500
MEMORISED_ROWS = 10_000
MEMORISING_EPOCHS = 30
"""A network that saw 55,000 rows five times remembers no single one, so an attack would have nothing to find."""

TargetKind = Literal["class", "classes", "samples"]


@dataclass(frozen=True)
class Target:
    """What is to be forgotten."""

    kind: TargetKind
    classes: tuple[int, ...] = ()
    """Empty where it is samples."""

    @property
    def name(self) -> str:
        """Its part of a file name."""
        return "-".join([self.kind, *map(str, self.classes)])


@dataclass(frozen=True)
class Row:
    """A method with a refusal: one row of a table."""

    method: MethodName | Literal["original", "edit"]
    refusal: Refusal

    @property
    def name(self) -> str:
        """Its part of a file name."""
        return f"{self.method}-{self.refusal}"


DEFAULT_ROW = Row("edit", "push")
_TRAINED: tuple[MethodName, ...] = ("finetune", "neggrad_plus", "scrub", "salun", "bad_teacher")
_CLASS_METHODS: tuple[MethodName, ...] = (*_TRAINED, "ssd", "projection")
CLASS_ROWS = (
    Row("original", "none"),
    Row("retrain", "calibrate"),
    DEFAULT_ROW,
    Row("edit", "calibrate"),
    Row("euk", "calibrate"),
    Row("euk", "guard"),
    *(Row(method, "calibrate") for method in _CLASS_METHODS),
)
SAMPLE_ROWS = (
    Row("original", "none"),
    Row("retrain", "none"),
    Row("euk", "none"),
    *(Row(method, "none") for method in _TRAINED),
    Row("sisa", "none"),
)


@dataclass(frozen=True)
class Case:
    """One network of one seed, and what it is to forget."""

    dataset: str
    architecture: str
    target: Target
    seed: int
    referenced: bool = True
    """Whether retrained models stand beside; without, no figure is of a difference to them."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is run on it."""
        if self.target.kind == "samples":
            return SAMPLE_ROWS
        return CLASS_ROWS if self.referenced else (CLASS_ROWS[0], DEFAULT_ROW)

    @property
    def training(self) -> Training:
        """The recipe of the original and of every retrained model."""
        plain = Training(seed=self.seed)
        return replace(plain, epochs=MEMORISING_EPOCHS) if self.target.kind == "samples" else plain

    @property
    def reference_seeds(self) -> tuple[int, ...]:
        """Of the retrained models to compare with."""
        count = NUM_REFERENCES if self.referenced else 0
        return tuple(self.seed + REFERENCE_SEED * (number + 1) for number in range(count))


def cases(dataset: str, num_classes: int, architectures: Sequence[str], seeds: Sequence[int]) -> list[Case]:
    """Every case, one seed after the other, so that a run that is cut short has something of everything."""
    compared = compared_classes(num_classes)
    targets = [Target("samples"), *(Target("class", (number,)) for number in compared), Target("classes", compared[:2])]
    others = [Target("class", (number,)) for number in range(num_classes) if number not in compared]
    found = []
    for seed in seeds:
        found += [Case(dataset, name, target, seed) for name in architectures for target in targets]
        found += [Case(dataset, name, target, seed, referenced=False) for name in architectures for target in others]
    return found


def compared_classes(num_classes: int) -> tuple[int, ...]:
    """The three classes that every method is tried on."""
    wished = (2, 5, 8)
    return wished if num_classes > max(wished) else tuple(range(min(3, num_classes - 1)))


def data_of(case: Case, data: Dataset) -> Dataset:
    """All of the data; for samples, so few training rows that a network learns them by heart."""
    return drawn(data, case.seed, MEMORISED_ROWS) if case.target.kind == "samples" else data


def drawn(data: Dataset, seed: int, most: int) -> Dataset:
    """The data set of `most` random training rows at most, renumbered, and of all calibration and test rows."""
    return _of_rows(data, _some(data.train_rows, most, seed), data.calibration_rows)


def sliced(data: Dataset, seed: int, most: int) -> Dataset:
    """The data set of `most` rows of each kind at most: to train on, to calibrate on, and to test on."""
    test = _some(torch.arange(len(data.test_labels)), most, seed)
    few = replace(data, test_images=data.test_images[test], test_labels=data.test_labels[test])
    return _of_rows(few, _some(data.train_rows, most, seed), _some(data.calibration_rows, most, seed))


def _some(rows: Tensor, most: int, seed: int) -> Tensor:
    """At most so many of the rows [N], drawn at random: int64 [most]."""
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:most]]


def _of_rows(data: Dataset, train: Tensor, calibration: Tensor) -> Dataset:
    rows = torch.cat([train, calibration])
    return replace(
        data,
        train_images=data.train_images[rows],
        train_labels=data.train_labels[rows],
        train_rows=torch.arange(len(train)),
        calibration_rows=torch.arange(len(train), len(rows)),
    )


def partition_of(case: Case, data: Dataset) -> Partition:
    """What is forgotten and what stays, in the data of the case."""
    if case.target.kind == "samples":
        return of_samples(data, _samples(data, case.seed).tolist())
    return Partition.of(data, case.target.classes)


def _samples(data: Dataset, seed: int) -> Tensor:
    count = min(NUM_SAMPLES, len(data.train_rows) // 2)
    order = torch.randperm(len(data.train_rows), generator=torch.Generator().manual_seed(seed + 1))
    return data.train_rows[order[:count]]
