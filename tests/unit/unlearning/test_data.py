from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidShape
from app.unlearning.data import images_as_float, in_batches
from tests.unit.unlearning.blobs import blobs


def test_images_become_float32_between_zero_and_one() -> None:
    floats = images_as_float(torch.arange(256, dtype=torch.uint8))
    assert floats.dtype == torch.float32
    assert floats.min() == 0
    assert floats.max() == 1


def test_rows_must_hold_the_training_file_exactly_once() -> None:
    data = blobs()
    with pytest.raises(InvalidShape, match="exactly once"):
        replace(data, calibration_rows=data.calibration_rows[1:])
    with pytest.raises(InvalidShape, match="exactly once"):
        replace(data, calibration_rows=torch.cat([data.calibration_rows, data.train_rows[:1]]))


def test_labels_outside_the_classes_are_refused() -> None:
    data = blobs()
    with pytest.raises(InvalidShape, match="class indices"):
        replace(data, class_names=data.class_names[:-1])


def test_images_that_are_not_bytes_are_refused() -> None:
    data = blobs()
    with pytest.raises(InvalidShape, match="uint8"):
        replace(data, test_images=data.test_images.float())


@given(st.integers(0, 50), st.integers(1, 60))
def test_batches_are_the_rows_in_their_order(count: int, size: int) -> None:
    rows = torch.arange(count)
    batches = in_batches(rows, size)
    assert [row for batch in batches for row in batch.tolist()] == rows.tolist()
    assert all(0 < len(batch) <= size for batch in batches)
