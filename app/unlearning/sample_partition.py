"""Which rows are to be forgotten and which stay, where single samples are forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import torch
from torch import Tensor

from app.errors import AlreadyForgotten, FieldError, InvalidValue, NotApplicable, NothingLeft, SampleNotFound
from app.unlearning.data import Dataset, classes_of
from app.unlearning.partition import Partition, Rows, retained_classes, rows_of

MOST_SAMPLES = 100_000
"""The most samples of one request."""

LEAST_KEPT = 0.5
"""Share of a class's training rows that must stay for its accuracy to be judged as retained."""

_NAMED = 10  # the number of wrong ids that are told one by one


def of_samples(
    data: Dataset,
    samples: Collection[int],
    *,
    earlier_classes: Iterable[int] = (),
    earlier_samples: Iterable[int] = (),
    learned: Iterable[int] | None = None,
) -> Partition:
    """The partition for training-row ids to be forgotten now, beside the classes and samples forgotten earlier.

    Rows of classes that are not among those `learned` (None: all) are in neither set, nor are rows of a class that
    would have no training row left. Ids of calibration rows are allowed: nothing was fitted on them, and nothing is
    calibrated on them any more. Samples forgotten earlier are in neither set. Raises InvalidValue for repeated ids,
    none, or too many, SampleNotFound, AlreadyForgotten for samples forgotten earlier, themselves or with their class,
    and NothingLeft.
    """
    _check_named_well(samples)
    gone = tuple(sorted(set(earlier_classes)))
    now = _existing(data, samples)
    earlier = torch.tensor(sorted(set(earlier_samples)), dtype=torch.int64)
    _check_still_known(data, now, gone, earlier)
    known = set(range(data.num_classes) if learned is None else learned) - set(gone)
    going = torch.cat([now, earlier])
    left = data.train_rows[~torch.isin(data.train_rows, going)]
    if len(left) == 0:
        raise NothingLeft("No training sample would remain; leave some, or delete the model.")
    present = retained_classes(data, left, known)
    retain_classes = _well_kept(data, left, earlier, present)
    train = Rows(_named(data, data.train_rows, now, known), rows_of(data.train_labels, left, present))
    calibration = Rows(
        _named(data, data.calibration_rows, now, known),
        rows_of(data.train_labels, data.calibration_rows[~torch.isin(data.calibration_rows, going)], retain_classes),
    )
    test_rows = rows_of(data.test_labels, torch.arange(len(data.test_labels)), retain_classes)
    if len(calibration.retain) == 0:
        raise NotApplicable("No calibration sample would remain to judge by; leave some, or delete the model.")
    return Partition((), gone, retain_classes, train, calibration, Rows(test_rows[:0], test_rows))


def without_forgotten(data: Dataset, partition: Partition) -> Dataset:
    """The data set without the samples that are to be forgotten, for code that draws rows from it and not from the partition.

    If classes are to be forgotten it stays as it was: their rows may still be read to refuse them.
    """
    if partition.forget_classes:
        return data
    return data.without(torch.cat([partition.train.forget, partition.calibration.forget]).tolist())


def without_samples(data: Dataset, samples: Collection[int], named_classes: Collection[int] = ()) -> Dataset:
    """The data set without samples, training-row ids, that were forgotten earlier.

    If a class is forgotten by its name and has no other training rows left, its forgotten samples are kept: the class
    is struck, refused and judged by them, and they are used for nothing else.
    """
    without = data.without(samples)
    present = classes_of(data.train_labels[without.train_rows])
    last = sorted(set(named_classes) - present)
    if not last:
        return without
    gone = torch.tensor(sorted(samples), dtype=torch.int64)
    return data.without(gone[~torch.isin(gone, rows_of(data.train_labels, gone, last))].tolist())


def _check_named_well(samples: Collection[int]) -> None:
    if not 0 < len(samples) <= MOST_SAMPLES:
        raise InvalidValue(f"Name 1 to {MOST_SAMPLES} samples; these are {len(samples)}.")
    repeated = {number for number, times in Counter(samples).items() if times > 1}
    if repeated:
        raise InvalidValue(f"Name every sample once; repeated: {_listed(repeated)}.", errors=_at(samples, repeated))


def _existing(data: Dataset, samples: Collection[int]) -> Tensor:
    count = len(data.train_labels)
    unknown = {number for number in samples if not 0 <= number < count}
    if unknown:
        raise SampleNotFound(
            f"Samples are training rows 0 to {count - 1}; there is no {_listed(unknown)}.",
            errors=_at(samples, unknown),
        )
    return torch.tensor(sorted(samples), dtype=torch.int64)


def _check_still_known(data: Dataset, now: Tensor, classes: tuple[int, ...], earlier: Tensor) -> None:
    with_class = set(rows_of(data.train_labels, now, classes).tolist())
    if with_class:
        raise AlreadyForgotten(f"Samples of a forgotten class were forgotten with it: {_listed(with_class)}.")
    again = set(now[torch.isin(now, earlier)].tolist())
    if again:
        raise AlreadyForgotten(f"Samples forgotten before: {_listed(again)}; name only those that are still known.")


def _named(data: Dataset, rows: Tensor, now: Tensor, known: Collection[int]) -> Tensor:
    """The rows that are to be forgotten now, int64 [N], ascending."""
    return rows_of(data.train_labels, now[torch.isin(now, rows)], known)


def _well_kept(data: Dataset, left: Tensor, earlier: Tensor, classes: tuple[int, ...]) -> tuple[int, ...]:
    """The classes that keep at least LEAST_KEPT of their training rows; all classes where none does."""
    before = torch.bincount(data.train_labels[data.train_rows[~torch.isin(data.train_rows, earlier)]])  # by class
    after = torch.bincount(data.train_labels[left], minlength=len(before))  # by class
    kept = tuple(number for number in classes if after[number] >= LEAST_KEPT * before[number])
    return kept or classes


def _listed(numbers: set[int]) -> str:
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    return ", ".join(str(number) for number in sorted(numbers)[:_NAMED]) + more


def _at(samples: Collection[int], wrong: set[int]) -> list[FieldError]:
    """A field error for each of the first wrong ids, with the place of the id in the request."""
    places = [place for place, number in enumerate(samples) if number in wrong][:_NAMED]
    return [FieldError(f"/target/samples/{place}", "This id is wrong.") for place in places]
