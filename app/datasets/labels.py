"""The labels of training rows, by data digest, for the processes that check requests, which load no torch."""

from __future__ import annotations

import io
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from app.errors import DatasetCorrupted
from app.files import storage_faults, sync_folder, write_durably

_HEADER_BYTES = 1024  # of a .npy file, at most


def keep(home: Path, data_digest: str, labels: NDArray[np.int64]) -> None:
    """Write the labels, int64 [N], where there are none yet; wholly there or not at all. Raises StorageUnavailable."""
    path = _path(home, data_digest)
    if path.exists():
        return
    content = io.BytesIO()
    np.save(content, labels.astype("<i4"), allow_pickle=False)
    partial = path.with_name(f".{path.stem}.{uuid4().hex}.partial")
    with storage_faults(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(partial, content.getvalue())
        partial.replace(path)
        sync_folder(path.parent)


def kept(home: Path, data_digest: str, num_train: int) -> NDArray[np.int32] | None:
    """The labels, int32 [num_train], or None before a job on this machine read the data; raises DatasetCorrupted."""
    path = _path(home, data_digest)
    if not path.exists():
        return None
    if path.stat().st_size > 4 * num_train + _HEADER_BYTES:
        raise _damaged(path)
    try:
        labels: NDArray[np.int32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as fault:
        raise _damaged(path) from fault
    if labels.dtype != np.int32 or labels.shape != (num_train,):
        raise _damaged(path)
    return labels


def _path(home: Path, data_digest: str) -> Path:
    return home / "labels" / f"{data_digest.removeprefix('sha256:')}.npy"


def _damaged(path: Path) -> DatasetCorrupted:
    return DatasetCorrupted(f"{path} does not hold the labels of its data set. Delete it; the next job writes it anew.")
