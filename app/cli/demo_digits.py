"""The images that the demonstration asks about."""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import NamedTuple

_PIXELS = 28 * 28
_IMAGES_HEADER, _LABELS_HEADER = 16, 8
"""Bytes before the data of an IDX file of images and of labels."""


class Digits(NamedTuple):
    """Test images as rows of 784 numbers in 0..1, and their labels."""

    images: list[list[float]]
    labels: list[int]


def test_digits(number: int) -> Digits:
    """The first images of MNIST's test set, from the files that come with the package."""
    folder = files("app.datasets") / "mnist"
    images = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())[_IMAGES_HEADER:]
    labels = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[_LABELS_HEADER:]
    rows = [images[start : start + _PIXELS] for start in range(0, number * _PIXELS, _PIXELS)]
    return Digits([[pixel / 255 for pixel in row] for row in rows], list(labels[:number]))
