"""Which rows are to be forgotten and which stay, for one data set and one set of classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from app.errors import AlreadyForgotten, ClassNotFound, NotApplicable, NothingLeft
from app.unlearning.data import Dataset, classes_of


@dataclass(frozen=True)
class Rows:
    """Rows of one split, disjoint: rows of the forgotten classes, and rows of the retained ones."""

    forget: Tensor
    """int64, rows of the classes that are to be forgotten now."""
    retain: Tensor
    """int64, rows of the classes that were neither forgotten before nor are now."""


@dataclass(frozen=True)
class Partition:
    """Forget, retain and earlier forgotten classes, and their rows in each split; every figure and criterion uses them.

    `train` and `calibration` hold rows of the training file, `test` rows of the test file. Rows of classes forgotten
    earlier, of classes not learned yet, and of classes all of whose training rows were forgotten as samples, are in
    neither set. If a class loses most of its training rows as samples, its other training rows are retained, but its
    calibration and test rows are in neither set: nobody expects that the class is known as well as before.
    """

    forget_classes: tuple[int, ...]
    earlier_classes: tuple[int, ...]
    retain_classes: tuple[int, ...]
    train: Rows
    calibration: Rows
    test: Rows

    @property
    def kind(self) -> Literal["classes", "samples"]:
        """Whether classes or samples are to be forgotten."""
        return "classes" if self.forget_classes else "samples"

    @property
    def forgotten_classes(self) -> tuple[int, ...]:
        """Every class forgotten so far, ascending."""
        return tuple(sorted(self.forget_classes + self.earlier_classes))

    @classmethod
    def of(
        cls, data: Dataset, forget: Iterable[int], earlier: Iterable[int] = (), learned: Iterable[int] | None = None
    ) -> Partition:
        """The partition for classes to be forgotten now, beside `earlier` ones, among `learned` classes (None: all).

        Raises ClassNotFound, AlreadyForgotten, NothingLeft, and NotApplicable where a split has no rows to judge by.
        """
        forget_classes, earlier_classes = tuple(sorted(set(forget))), tuple(sorted(set(earlier)))
        learned_classes = set(range(data.num_classes) if learned is None else learned)
        _check_named(data.num_classes, learned_classes, forget_classes, earlier_classes)
        retain_classes = retained_classes(data, data.train_rows, learned_classes - {*forget_classes, *earlier_classes})
        every_test_row = torch.arange(len(data.test_labels))
        train, calibration, test = (
            Rows(rows_of(labels, rows, forget_classes), rows_of(labels, rows, retain_classes))
            for labels, rows in (
                (data.train_labels, data.train_rows),
                (data.train_labels, data.calibration_rows),
                (data.test_labels, every_test_row),
            )
        )
        _check_judgeable(data, forget_classes, retain_classes)
        return cls(forget_classes, earlier_classes, retain_classes, train, calibration, test)


def rows_of(labels: Tensor, rows: Tensor, classes: Iterable[int]) -> Tensor:
    """The `rows` (int64) whose label (int64 [N], indexed by row) is among `classes`, in their order."""
    return rows[torch.isin(labels[rows], torch.tensor(sorted(classes), dtype=torch.int64))]


def retained_classes(data: Dataset, rows: Tensor, known: Iterable[int]) -> tuple[int, ...]:
    """The known classes that have at least one of these training rows (int64), ascending.

    A class without a row left is not retained: a model that learns these rows does not know it. Raises NothingLeft for
    none.
    """
    found = tuple(sorted(set(known) & classes_of(data.train_labels[rows])))
    if not found:
        raise NothingLeft("No class would remain; leave at least one, or delete the model.")
    return found


def _check_named(num_classes: int, learned: set[int], forget: tuple[int, ...], earlier: tuple[int, ...]) -> None:
    for number in forget + earlier:
        if not 0 <= number < num_classes:
            raise ClassNotFound(f"There is no class {number}; classes are 0 to {num_classes - 1}.")
        if number not in learned:
            raise ClassNotFound(f"Class {number} is of no task, so the model never learned it; name a learned class.")
    both = sorted(set(forget) & set(earlier))
    if both:
        raise AlreadyForgotten(f"Class {both[0]} was forgotten before; name only classes that are still known.")
    if not learned - set(forget) - set(earlier):
        raise NothingLeft("No class would remain; leave at least one, or delete the model.")


def _check_judgeable(data: Dataset, forget: tuple[int, ...], retain: tuple[int, ...]) -> None:
    """Raise NotApplicable unless each class to forget, and the retained ones together, have rows in both splits."""
    for rows, split in ((data.train_rows, "training"), (data.calibration_rows, "calibration")):
        present = classes_of(data.train_labels[rows])
        missing = sorted(set(forget) - present)
        if missing:
            raise NotApplicable(f"Class {missing[0]} has no {split} rows, so its forgetting could not be judged.")
        if not present & set(retain):
            raise NotApplicable(f"The retained classes have no {split} rows, so their accuracy could not be judged.")
