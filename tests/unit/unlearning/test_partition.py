from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.errors import AlreadyForgotten, ClassNotFound, NotApplicable, NothingLeft
from app.unlearning.data import Dataset
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs

DATA = blobs(num_classes=6, rows=240, size=2)


def _classes() -> st.SearchStrategy[tuple[set[int], set[int]]]:
    """Classes to forget now, and those forgotten earlier; at least one stays."""
    sides = st.lists(st.sampled_from(["now", "earlier", "stays"]), min_size=6, max_size=6)
    return sides.filter(lambda found: "now" in found and "stays" in found).map(
        lambda found: (
            {number for number, side in enumerate(found) if side == "now"},
            {number for number, side in enumerate(found) if side == "earlier"},
        )
    )


@given(_classes())
def test_forget_and_retain_rows_are_disjoint_and_hold_exactly_their_classes(
    classes: tuple[set[int], set[int]],
) -> None:
    forget, earlier = classes
    partition = Partition.of(DATA, forget, earlier)
    splits = [
        (partition.train, DATA.train_labels, DATA.train_rows),
        (partition.calibration, DATA.train_labels, DATA.calibration_rows),
        (partition.test, DATA.test_labels, torch.arange(len(DATA.test_labels))),
    ]
    for rows, labels, split in splits:
        assert set(labels[rows.forget].tolist()) == forget
        assert not set(labels[rows.retain].tolist()) & (forget | earlier)
        gone = {row for row in split.tolist() if int(labels[row]) in earlier}
        assert sorted([*rows.forget.tolist(), *rows.retain.tolist(), *gone]) == split.tolist()


@given(_classes())
def test_every_class_is_forgotten_now_or_earlier_or_stays(classes: tuple[set[int], set[int]]) -> None:
    partition = Partition.of(DATA, *classes)
    assert sorted([*partition.forgotten_classes, *partition.retain_classes]) == list(range(6))


def test_what_cannot_be_forgotten_is_named() -> None:
    with pytest.raises(ClassNotFound, match="no class 6"):
        Partition.of(DATA, [6])
    with pytest.raises(AlreadyForgotten, match="Class 2"):
        Partition.of(DATA, [2], earlier=[2])
    with pytest.raises(NothingLeft):
        Partition.of(DATA, [0, 1, 2], earlier=[3, 4, 5])


def test_a_class_without_calibration_rows_cannot_be_judged() -> None:
    held_out = DATA.calibration_rows[DATA.train_labels[DATA.calibration_rows] != 3]
    rows = torch.arange(len(DATA.train_labels))
    data = Dataset(
        DATA.name,
        DATA.class_names,
        DATA.train_images,
        DATA.train_labels,
        DATA.test_images,
        DATA.test_labels,
        rows[~torch.isin(rows, held_out)],
        held_out,
    )
    with pytest.raises(NotApplicable, match="Class 3 has no calibration rows"):
        Partition.of(data, [3])


@given(_classes(), st.sets(st.integers(0, 5)))
def test_classes_not_learned_are_in_no_set(classes: tuple[set[int], set[int]], others: set[int]) -> None:
    forget, earlier = classes
    learned = forget | earlier | others
    if not others - forget - earlier:
        return
    partition = Partition.of(DATA, forget, earlier, learned)
    assert sorted([*partition.forgotten_classes, *partition.retain_classes]) == sorted(learned)
    for rows, labels in ((partition.train, DATA.train_labels), (partition.test, DATA.test_labels)):
        assert set(labels[torch.cat([rows.forget, rows.retain])].tolist()) == learned - earlier


def test_a_class_of_no_task_cannot_be_forgotten() -> None:
    with pytest.raises(ClassNotFound, match="Class 5 is of no task"):
        Partition.of(DATA, [5], learned=range(4))
    with pytest.raises(NothingLeft):
        Partition.of(DATA, [0, 1], learned=[0, 1])
