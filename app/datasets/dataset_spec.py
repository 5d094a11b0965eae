"""What is known of a data set before its files are read. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TorchvisionClass = Literal["MNIST", "FashionMNIST", "KMNIST", "EMNIST", "CIFAR10", "CIFAR100"]


@dataclass(frozen=True)
class DataFile:
    """One file that torchvision reads, unpacked."""

    name: str
    shape: tuple[int, ...] | None
    """The dimensions of an IDX file of unsigned bytes, which also fix its size; None for another kind of file."""
    digest: str | None
    """`sha256:…` or `md5:…` of the unpacked content; None where no digest of the unpacked file is published."""


@dataclass(frozen=True)
class Download:
    """One file that a mirror offers: a compressed data file, or an archive of them all."""

    name: str
    url: str
    md5: str
    """The published MD5, in hex; torchvision checks the same."""
    max_bytes: int


@dataclass(frozen=True)
class DatasetSpec:
    """A data set that models can be trained on."""

    name: str
    description: str
    torchvision_class: TorchvisionClass
    input_shape: tuple[int, int, int]
    """Channels, height, width."""
    classes: tuple[str, ...]
    num_train: int
    num_test: int
    folder: str
    """Where torchvision looks for the unpacked files, below its root."""
    files: tuple[DataFile, ...]
    downloads: tuple[Download, ...]
    archive_member: str | None = None
    """Where one archive holds all files: the pattern of their names in it; `{name}` stands for the file's name."""
    bundled: bool = False
    """Whether the compressed files come with this package."""
