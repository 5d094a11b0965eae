from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.datasets.split import split, split_digest

NAMES = st.text(min_size=1, max_size=20)
SIZES = st.integers(min_value=0, max_value=500)


@given(NAMES, SIZES)
def test_training_and_calibration_rows_are_every_row_exactly_once(name: str, size: int) -> None:
    training, calibration = split(name, size)
    assert sorted([*training.tolist(), *calibration.tolist()]) == list(range(size))
    assert len(calibration) == size // 12


@given(NAMES, SIZES)
def test_the_same_data_set_is_always_split_the_same_way(name: str, size: int) -> None:
    first, second = split(name, size), split(name, size)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert split_digest(*first) == split_digest(*second)


@given(NAMES, st.integers(min_value=1, max_value=200))
def test_the_split_is_that_of_its_published_law(name: str, size: int) -> None:
    stream = hashlib.shake_256(f"forgettery calibration split 1: {name}".encode()).digest(8 * size)
    ranked = sorted(range(size), key=lambda row: (int.from_bytes(stream[8 * row : 8 * row + 8], "big"), row))
    assert split(name, size)[1].tolist() == sorted(ranked[: size // 12])


def test_mnist_is_split_as_in_every_release_before() -> None:
    training, calibration = split("mnist", 60_000)
    assert len(calibration) == 5_000
    assert split_digest(training, calibration) == (
        "sha256:b25d3b934245c76176df32c03b957d02d420ae65cecabf607ec5a83d481be5de"
    )


@given(st.integers(min_value=24, max_value=300), st.data())
def test_the_digest_changes_when_two_rows_change_places(size: int, data: st.DataObject) -> None:
    training, calibration = split("mnist", size)
    first = data.draw(st.integers(0, len(training) - 1))
    second = data.draw(st.integers(0, len(calibration) - 1))
    exchanged_training, exchanged_calibration = training.copy(), calibration.copy()
    exchanged_training[first], exchanged_calibration[second] = calibration[second], training[first]
    assert split_digest(training, calibration) != split_digest(exchanged_training, exchanged_calibration)
