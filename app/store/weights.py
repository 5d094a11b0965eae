"""Weights on disk: safetensors alone, read once, checked against digest and architecture before anything is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialize
from torch import Tensor

from app.durable_files import digest_of, write_durably
from app.errors import GateMissed, VersionCorrupted
from app.store.manifest import MANIFEST, MAX_MANIFEST_BYTES, WEIGHTS, Manifest, parse_manifest
from app.store.versions import check_digest, read_bounded
from app.unlearning.architectures import Classifier, build

_LENGTH_BYTES = 8
_HEADER_BYTES_PER_TENSOR = 256  # type, shape and offsets of one take 60 to 120 beside its name
_TYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.bool: "BOOL"}


def save(model: Classifier, path: Path) -> str:
    """Write every parameter and buffer to a new file, durably; `sha256:…` of the file.

    Equal tensors give equal bytes. Raises GateMissed where a value is not finite, and StorageUnavailable.
    """
    # Contiguous, because layouts such as channels last are how a process computes, not what a model is.
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    try:
        _check_finite(tensors)
    except ValueError as fault:
        raise GateMissed(f"The training diverged: {fault}. Use a lower learning rate.") from fault
    content = serialize(tensors)
    write_durably(path, content)
    return digest_of(content)


def load(folder: Path, digest: str, manifest_digest: str) -> Classifier:
    """The model in a version's folder, in evaluation mode, if its weights and its manifest have these digests.

    The very bytes that were hashed are used. Raises VersionCorrupted, naming the file, if anything does not hold:
    size, digests, names, types and shapes of the tensors, or that all values are finite.
    """
    manifest = _checked_manifest(folder, manifest_digest)
    model = build(manifest.architecture, manifest.input_shape, len(manifest.class_names), 0, manifest.learning)
    expected = model.state_dict()
    path = folder / WEIGHTS
    content = read_bounded(path, _LENGTH_BYTES + _header_limit(expected) + _data_bytes(expected))
    check_digest(path, digest_of(content), digest)
    try:
        _check_header(content, expected)
        tensors = parse(content)
        _check_finite(tensors)
    except (ValueError, RecursionError, SafetensorError) as fault:
        raise VersionCorrupted(
            f"models/{folder.parent.name}/{folder.name}/{WEIGHTS} does not hold the model of its manifest: {fault}."
        ) from fault
    model.load_state_dict(tensors)
    return model.eval()


def _checked_manifest(folder: Path, digest: str) -> Manifest:
    path = folder / MANIFEST
    content = read_bounded(path, MAX_MANIFEST_BYTES)
    check_digest(path, digest_of(content), digest)
    return parse_manifest(content, f"models/{folder.parent.name}/{folder.name}")


def _header_limit(expected: dict[str, Tensor]) -> int:
    """The most bytes a header may have; parsing one costs far more memory than its size (seen: 800 MB for 30 MB)."""
    return sum(len(name) + _HEADER_BYTES_PER_TENSOR for name in expected)


def _data_bytes(expected: dict[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in expected.values())


def _check_header(content: bytes, expected: dict[str, Tensor]) -> None:
    """Raise ValueError unless the header lists exactly the expected tensors; safetensors itself accepts duplicates."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if length > _header_limit(expected) or len(content) != _LENGTH_BYTES + length + _data_bytes(expected):
        raise ValueError("its length is not that of these tensors")
    header = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + length], object_pairs_hook=_without_duplicates)
    if not isinstance(header, dict) or header.keys() != expected.keys():
        raise ValueError("the names of its tensors are others")
    if not all(isinstance(entry, dict) for entry in header.values()):
        raise ValueError("its header does not describe tensors")
    for name, tensor in expected.items():
        described = header[name].get("dtype"), header[name].get("shape")
        if described != (_TYPES[tensor.dtype], list(tensor.shape)):
            raise ValueError(f"the tensor {name} is not {_TYPES[tensor.dtype]} {list(tensor.shape)}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name occurs twice in its header")
    return entries


def _check_finite(tensors: dict[str, Tensor]) -> None:
    for name, tensor in sorted(tensors.items()):
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ValueError(f"the tensor {name} has values that are not finite")
