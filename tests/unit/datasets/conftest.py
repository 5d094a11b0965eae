"""A data set of a few rows in MNIST's format, and settings with a home of their own."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import pytest

from app.datasets.catalogue import find
from app.datasets.dataset_spec import DataFile, DatasetSpec
from app.datasets.unpacking import idx_header
from app.settings import Settings


@dataclass(frozen=True)
class Tiny:
    """A described data set and the bytes of its unpacked files."""

    spec: DatasetSpec
    contents: dict[str, bytes]

    def place(self, folder: Path, *, packed: bool = False) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.contents.items():
            (folder / (name + ".gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
        return folder


def _shrunk(name: str, rows: int = 24, test_rows: int = 12) -> Tiny:
    original = find(name)
    generator, files, contents = np.random.default_rng(0), [], {}
    for file in original.files:
        assert file.shape is not None
        shape = (test_rows if "t10k" in file.name or "test" in file.name else rows, *(4, 5)[: len(file.shape) - 1])
        values = generator.integers(0, 10, prod(shape), dtype=np.uint8)
        contents[file.name] = idx_header(shape) + values.tobytes()
        files.append(DataFile(file.name, shape, None))
    width, height = (4, 5) if name == "emnist_digits" else (5, 4)
    spec = replace(original, input_shape=(1, height, width), num_train=rows, num_test=test_rows, files=tuple(files))
    return Tiny(spec, contents)


@pytest.fixture
def tiny() -> Tiny:
    """Kuzushiji-MNIST of 24 training and 12 test rows, images of 4 x 5."""
    return _shrunk("kmnist")


@pytest.fixture
def shrunk() -> Callable[[str], Tiny]:
    """Any data set in MNIST's format, shrunk likewise."""
    return _shrunk


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Nothing is downloaded; the data folder is apart from the home."""
    return Settings(home=tmp_path / "home", data_dir=tmp_path / "data", download=False)
