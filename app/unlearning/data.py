"""A data set in memory: images as uint8 tensors, and the rows to fit and to calibrate on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from app.errors import InvalidShape


@dataclass(frozen=True)
class Dataset:
    """Labelled images of one data set; the row number in the training file is the id of a sample.

    Training rows are fitted on; calibration rows are held out of every fit; thresholds, and whether a result is
    published at all, are decided on them. Test images are measured on: nothing is fitted to them and nothing is chosen
    by them. They decide one thing alone about what is published: whether more than `edited` may be claimed of it.
    """

    name: str
    class_names: tuple[str, ...]
    train_images: Tensor
    """uint8 [N, C, H, W]."""
    train_labels: Tensor
    """int64 [N], 0 to the number of classes - 1."""
    test_images: Tensor
    """uint8 [M, C, H, W]."""
    test_labels: Tensor
    """int64 [M]."""
    train_rows: Tensor
    """int64, rows of the training file to fit on."""
    calibration_rows: Tensor
    """int64, the other rows of the training file that are not forgotten."""
    forgotten_rows: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    """int64, rows of the training file that nothing may look at any more."""

    def __post_init__(self) -> None:
        """Raise InvalidShape unless images, labels and rows fit together."""
        _check_images(self.train_images, self.train_labels, self.num_classes)
        _check_images(self.test_images, self.test_labels, self.num_classes)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise InvalidShape("Training and test images must have the same channels, height and width.")
        rows = torch.cat([self.train_rows, self.calibration_rows, self.forgotten_rows]).sort().values
        if not torch.equal(rows, torch.arange(len(self.train_labels))):
            raise InvalidShape(
                "Training, calibration and forgotten rows must hold every row of the training file exactly once."
            )

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    def without(self, samples: Collection[int]) -> Dataset:
        """The data set without these training-row ids: they are neither fitted on nor calibrated on."""
        gone = torch.tensor(sorted(samples), dtype=torch.int64)
        train, calibration = (rows[~torch.isin(rows, gone)] for rows in (self.train_rows, self.calibration_rows))
        forgotten = torch.cat([self.forgotten_rows, gone[~torch.isin(gone, self.forgotten_rows)]])
        return replace(self, train_rows=train, calibration_rows=calibration, forgotten_rows=forgotten)


def in_batches(rows: Tensor, size: int) -> list[Tensor]:
    """Rows [N] cut into batches of `size` in their order; the last one may be smaller."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def classes_of(labels: Tensor) -> set[int]:
    """The classes that occur in labels, int64 [N]."""
    return set(torch.bincount(labels).nonzero().flatten().tolist())


def _check_images(images: Tensor, labels: Tensor, num_classes: int) -> None:
    if images.dtype != torch.uint8 or images.dim() != 4 or labels.dtype != torch.int64:  # noqa: PLR2004  [N, C, H, W]
        raise InvalidShape("Images must be uint8 [N, C, H, W] and labels int64 [N].")
    if len(images) != len(labels) or len(labels) == 0:
        raise InvalidShape("There must be one label per image, and at least one image.")
    if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
        raise InvalidShape("Labels must be class indices from 0 to the number of classes - 1.")


def images_at(images: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """Rows, int64 [M], of images, uint8 [N, C, H, W], as networks take them: float32 [M, C, H, W] on the device.

    `index_select` gathers images in a tenth of the time that indexing by a tensor takes.
    """
    return images_as_float(images.index_select(0, rows).to(device))


def images_as_float(images: Tensor) -> Tensor:
    """Images as networks take them: uint8 0..255 of any shape to float32 0..1."""
    return images.to(torch.float32).div_(255)
