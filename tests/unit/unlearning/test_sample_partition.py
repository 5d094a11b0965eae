from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.errors import AlreadyForgotten, InvalidValue, NotApplicable, NothingLeft, SampleNotFound
from app.unlearning import sample_partition
from app.unlearning.judging import gate
from app.unlearning.judging.measurements import answers, measure, version_metrics
from app.unlearning.judging.verifying.observations import draw_sets
from app.unlearning.partition import Partition
from app.unlearning.sample_partition import MOST_SAMPLES, of_samples
from tests.unit.unlearning.blobs import blobs, fitted

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
    judged = _half_kept(set(samples), earlier, classes)
    for rows, split in ((partition.train, DATA.train_rows), (partition.calibration, DATA.calibration_rows)):
        staying = set(split.tolist()) - set(samples) - gone
        if rows is partition.calibration:
            staying = {row for row in staying if int(DATA.train_labels[row]) in judged}
        assert set(rows.forget.tolist()) == set(samples) & set(split.tolist())
        assert set(rows.retain.tolist()) == staying
        assert rows.forget.dtype == rows.retain.dtype == torch.int64
    assert not set(DATA.test_labels[partition.test.retain].tolist()) & classes
    assert len(partition.test.forget) == 0
    assert partition.forget_classes == ()
    assert partition.forgotten_classes == partition.earlier_classes == tuple(sorted(classes))


def _half_kept(samples: set[int], earlier: set[int], classes: set[int]) -> set[int]:
    """The classes by which retained accuracy is judged: at least half of their training rows stay."""
    there = [row for row in DATA.train_rows.tolist() if row not in earlier]
    left = [row for row in there if row not in samples]
    counts = [[int(DATA.train_labels[row]) for row in rows].count for rows in (there, left)]
    known = {number for number in range(4) if number not in classes and counts[1](number)}
    return {number for number in known if 2 * counts[1](number) >= counts[0](number)} or known


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
    rest = Partition.of(DATA.without(earlier), [1])
    for before, after in ((whole.train, rest.train), (whole.calibration, rest.calibration)):
        assert torch.equal(after.forget, before.forget[1:])
        assert torch.equal(after.retain, before.retain[1:])
    assert torch.equal(rest.test.retain, whole.test.retain)
    with pytest.raises(NotApplicable, match="no training rows"):
        Partition.of(DATA.without(whole.train.forget.tolist()), [1])


def rows_of_class(number: int) -> list[int]:
    return (DATA.train_labels == number).nonzero().flatten().tolist()


def test_a_class_of_which_no_training_row_is_left_is_not_retained_in_any_set() -> None:
    """Whether its last rows go now or went before, and whether samples or another class are forgotten."""
    going = rows_of_class(1)
    now = of_samples(DATA, going)
    before = of_samples(DATA.without(going), [int(DATA.train_rows[DATA.train_labels[DATA.train_rows] == 2][0])])
    other_class = Partition.of(DATA.without(going), [2])
    of_class = DATA.train_rows[DATA.train_labels[DATA.train_rows] == 1].tolist()
    most_left = of_samples(DATA, of_class[: len(of_class) // 2])
    few_left = of_samples(DATA, of_class[1:])
    for partition in (now, before, other_class):
        assert 1 not in partition.retain_classes
        kept = [partition.train.retain, partition.calibration.retain]
        assert 1 not in DATA.train_labels[torch.cat(kept)].tolist()
        assert 1 not in DATA.test_labels[torch.cat([partition.test.retain, partition.test.forget])].tolist()
    assert sorted([*now.train.forget.tolist(), *now.calibration.forget.tolist()]) == going
    assert 1 in most_left.retain_classes
    assert 1 not in few_left.retain_classes  # one row is retained, and nobody expects that the class is known by it
    assert of_class[0] in few_left.train.retain.tolist()


@pytest.mark.parametrize("target", ["class", "samples", "every row of a class"])
def test_gate_measurements_verification_and_metrics_go_by_the_same_retained_classes(target: str) -> None:
    gone = {"class": [], "samples": [], "every row of a class": rows_of_class(1)}[target]
    data = DATA.without(gone)
    samples = of_samples(DATA, gone or DATA.train_rows[:5].tolist())
    partition = Partition.of(DATA, [1]) if target == "class" else samples
    model = fitted(DATA, epochs=1)
    if target == "class":
        model.mark_forgotten([1])
    told = set(partition.retain_classes)
    assert told == ({0, 1, 2, 3} if target == "samples" else {0, 2, 3})
    sets = draw_sets(DATA, partition, "fast", 0)
    assert set(DATA.test_labels[sets.test_retain].tolist()) == told
    assert set(DATA.train_labels[sets.retain].tolist()) == told
    assert {number for group in gate._retained_groups(model, partition) for number in group} == told
    hits = answers(model, DATA.test_images, DATA.test_labels, partition.test.retain)
    measured = measure(model, DATA, partition)
    assert measured.test_accuracy == hits.accuracy()
    assert version_metrics(model, data).test_accuracy == pytest.approx(hits.accuracy())
