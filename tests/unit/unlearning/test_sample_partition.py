from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.errors import AlreadyForgotten, InvalidValue, NotApplicable, NothingLeft, SampleNotFound
from app.unlearning import sample_partition
from app.unlearning.partition import Partition
from app.unlearning.sample_partition import MOST_SAMPLES, of_samples, without_samples
from tests.unit.unlearning.blobs import blobs

DATA = blobs(num_classes=4, rows=80, size=2)


@given(
    st.lists(st.integers(0, 79), min_size=1, max_size=30, unique=True),
    st.sets(st.integers(0, 79), max_size=20),
    st.sets(st.integers(0, 3), max_size=2),
)
def test_every_row_is_forgotten_now_or_stays_or_was_forgotten_earlier(
    samples: list[int], earlier: set[int], classes: set[int]
) -> None:
    gone = {row for row in range(80) if row in earlier or int(DATA.train_labels[row]) in classes}
    samples = [row for row in samples if row not in gone]
    if not samples:
        return
    partition = of_samples(DATA, samples, earlier_classes=classes, earlier_samples=earlier)
    for rows, split in ((partition.train, DATA.train_rows), (partition.calibration, DATA.calibration_rows)):
        assert set(rows.forget.tolist()) == set(samples) & set(split.tolist())
        assert set(rows.retain.tolist()) == set(split.tolist()) - set(samples) - gone
        assert rows.forget.dtype == rows.retain.dtype == torch.int64
    assert not set(DATA.test_labels[partition.test.retain].tolist()) & classes
    assert len(partition.test.forget) == 0
    assert partition.forget_classes == ()
    assert partition.forgotten_classes == partition.earlier_classes == tuple(sorted(classes))


def test_the_order_in_which_samples_are_named_does_not_matter() -> None:
    forward, backward = (of_samples(DATA, named).train.forget for named in ([3, 9, 40], [40, 9, 3]))
    assert torch.equal(forward, backward)


def test_wrong_ids_are_named_with_their_place() -> None:
    with pytest.raises(SampleNotFound, match=r"rows 0 to 79; there is no -1, 80\.") as unknown:
        of_samples(DATA, [3, 80, -1])
    assert [fault.pointer for fault in unknown.value.errors] == ["/target/samples/1", "/target/samples/2"]
    with pytest.raises(InvalidValue, match=r"repeated: 5\.") as repeated:
        of_samples(DATA, [5, 6, 5])
    assert [fault.pointer for fault in repeated.value.errors] == ["/target/samples/0", "/target/samples/2"]


def test_of_many_wrong_ids_the_first_are_named() -> None:
    with pytest.raises(SampleNotFound, match="and 90 more"):
        of_samples(DATA, range(80, 180))


def test_too_few_and_too_many_samples_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_SAMPLES == 100_000
    monkeypatch.setattr(sample_partition, "MOST_SAMPLES", 3)
    assert len(of_samples(DATA, [1, 2, 3]).forget_classes) == 0
    for samples in ([], [1, 2, 3, 4]):
        with pytest.raises(InvalidValue, match="Name 1 to 3 samples"):
            of_samples(DATA, samples)


def test_what_was_forgotten_before_is_refused() -> None:
    of_class = int((DATA.train_labels == 2).nonzero()[0])
    with pytest.raises(AlreadyForgotten, match="with it"):
        of_samples(DATA, [of_class], earlier_classes=[2])
    with pytest.raises(AlreadyForgotten, match="before: 7"):
        of_samples(DATA, [6, 7], earlier_samples=[7])


def test_the_last_training_row_cannot_be_forgotten() -> None:
    with pytest.raises(NothingLeft):
        of_samples(DATA, DATA.train_rows.tolist())


def test_a_calibration_row_must_remain_to_judge_by() -> None:
    with pytest.raises(NotApplicable, match="judge by"):
        of_samples(DATA, DATA.calibration_rows.tolist())


def test_samples_forgotten_earlier_are_in_no_set_of_classes_either() -> None:
    whole = Partition.of(DATA, [1])
    earlier = [int(rows[0]) for split in (whole.train, whole.calibration) for rows in (split.forget, split.retain)]
    rest = without_samples(whole, earlier)
    for before, after in ((whole.train, rest.train), (whole.calibration, rest.calibration)):
        assert torch.equal(after.forget, before.forget[1:])
        assert torch.equal(after.retain, before.retain[1:])
    assert rest.test is whole.test
    with pytest.raises(NotApplicable, match="no row is left"):
        without_samples(whole, whole.train.forget.tolist())
