"""Which rows of the training file are held out for calibration: fixed per data set, the same on every machine for ever."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

CALIBRATION_SHARE = 12
"""One row in this number is held out: 5,000 of 60,000."""


def split(dataset: str, num_rows: int) -> tuple[Rows, Rows]:
    """Training rows and calibration rows, int64, each ascending, together every row of 0..num_rows - 1 once.

    Row r has the key in bytes 8r..8r+7 (big-endian) of SHAKE-256 of the data set's name; the rows of the smallest keys
    are the calibration rows. No library's generator is used, because those may change with a release.
    """
    stream = hashlib.shake_256(f"forgettery calibration split 1: {dataset}".encode()).digest(8 * num_rows)
    keys = np.frombuffer(stream, dtype=">u8")
    order = np.argsort(keys, kind="stable")
    num_calibration = num_rows // CALIBRATION_SHARE
    return np.sort(order[num_calibration:]).astype(np.int64), np.sort(order[:num_calibration]).astype(np.int64)


def split_digest(training_rows: Rows, calibration_rows: Rows) -> str:
    """`sha256:` and the SHA-256 of both lists of rows, as 8-byte little-endian integers, each after its length."""
    digest = hashlib.sha256()
    for rows in (training_rows, calibration_rows):
        digest.update(np.int64(len(rows)).astype("<i8").tobytes())
        digest.update(rows.astype("<i8").tobytes())
    return "sha256:" + digest.hexdigest()
