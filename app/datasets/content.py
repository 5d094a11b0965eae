"""The content of a data set as four tensors: read once by torchvision, then from a file that all processes map."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from app.datasets.dataset_spec import DatasetSpec
from app.errors import DatasetCorrupted
from app.files import storage_faults, sync_folder, write_durably


@dataclass(frozen=True)
class Content:
    """Images, uint8 [rows, C, H, W], and labels, int64 [rows], in the order of the files."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def digest(self) -> str:
        """`sha256:` and the SHA-256 over each tensor: name, type and shape in a line, then its bytes (little-endian)."""
        digest = hashlib.sha256()
        for field in fields(self):
            tensor = getattr(self, field.name)
            digest.update(f"{field.name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(memoryview(tensor.contiguous().numpy()))
        return "sha256:" + digest.hexdigest()


def read_with_torchvision(spec: DatasetSpec, root: Path) -> Content:
    """The content of the checked, unpacked files below `root`; raises DatasetCorrupted where it is not as described."""
    train_images, train_labels = _read_part(spec, root, train=True)
    test_images, test_labels = _read_part(spec, root, train=False)
    content = Content(train_images, train_labels, test_images, test_labels)
    _check(spec, content, str(root))
    return content


def write_cache(content: Content, folder: Path, name: str) -> Path:
    """Keep the content in a file whose name holds its digest; wholly there or not at all. Raises StorageUnavailable."""
    path = folder / f"{name}-{content.digest.removeprefix('sha256:')}.safetensors"
    partial = folder / f".{name}.partial"
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        write_durably(partial, save({field.name: getattr(content, field.name) for field in fields(content)}))
        partial.rename(path)
        sync_folder(folder)
    return path


def read_cache(spec: DatasetSpec, path: Path) -> tuple[Content, str]:
    """The content kept in the file, and its digest, computed anew from every byte.

    The tensors are views of the mapped file, so all processes share its pages. Raises DatasetCorrupted.
    """
    try:
        with safe_open(path, framework="pt") as file:
            content = Content(*(file.get_tensor(field.name) for field in fields(Content)))
    except (OSError, SafetensorError) as fault:
        raise _damaged_cache(path, str(fault)) from fault
    _check(spec, content, str(path))
    digest = content.digest
    if digest.removeprefix("sha256:") != path.stem.rpartition("-")[2]:
        raise _damaged_cache(path, "its content does not have the digest in its name")
    return content, digest


def _read_part(spec: DatasetSpec, root: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    from torchvision import datasets  # noqa: PLC0415  half a second, needed for the first reading alone

    if spec.torchvision_class == "EMNIST":
        emnist = datasets.EMNIST(root, split="digits", train=train, download=False)
        # EMNIST keeps its images column by column; turned, they stand upright like MNIST's.
        return emnist.data.transpose(1, 2).unsqueeze(1).contiguous(), emnist.targets
    part: Any = getattr(datasets, spec.torchvision_class)(root, train=train, download=False)
    images = torch.as_tensor(part.data)
    images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2)  # noqa: PLR2004  [N, H, W] or [N, H, W, C]
    return images.contiguous(), torch.as_tensor(part.targets, dtype=torch.int64)


def _check(spec: DatasetSpec, content: Content, where: str) -> None:
    for rows, images, labels in (
        (spec.num_train, content.train_images, content.train_labels),
        (spec.num_test, content.test_images, content.test_labels),
    ):
        if images.dtype != torch.uint8 or images.shape != (rows, *spec.input_shape):
            raise DatasetCorrupted(f"{spec.name} in {where} has images of another shape or type. Replace its files.")
        if labels.dtype != torch.int64 or labels.shape != (rows,):
            raise DatasetCorrupted(f"{spec.name} in {where} has labels of another shape or type. Replace its files.")
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(spec.classes):
            raise DatasetCorrupted(
                f"{spec.name} in {where} has labels that are none of its classes. Replace its files."
            )


def _damaged_cache(path: Path, reason: str) -> DatasetCorrupted:
    return DatasetCorrupted(f"{path} is damaged: {reason}. Delete it; the data set's files are then read again.")
