"""Weights on disk: safetensors alone, read once, checked against digest and architecture before anything is used."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialize
from torch import Tensor

from app.errors import GateMissed, VersionCorrupted
from app.files import digest_of, write_durably
from app.specs.learning import SynapticIntelligence, forgotten_tasks
from app.store.manifest import IMPORTANCE, MANIFEST, MAX_MANIFEST_BYTES, WEIGHTS, Manifest, parse_manifest
from app.store.versions import check_digest, file_name, read_bounded
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.synaptic_intelligence import Importance

_LENGTH_BYTES = 8
_HEADER_BYTES_OF_NONE = 8  # an empty JSON object, padded
_HEADER_BYTES_PER_TENSOR = 256  # type, shape and offsets of one take 60 to 120 beside its name
_TYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.bool: "BOOL"}


def save(model: Classifier, path: Path) -> str:
    """Write every parameter and buffer to a new file, durably; `sha256:…` of the file.

    Equal tensors give equal bytes. Raises GateMissed where a value is not finite, and StorageUnavailable.
    """
    return save_tensors(model.state_dict(), path)


def save_importance(importance: Importance, path: Path) -> str:
    """Write the importance of every task to a new file, durably; as `save`."""
    return save_tensors({_task_tensor(task, name): tensor for task, name, tensor in _flat(importance)}, path)


def load(folder: Path, digest: str, manifest_digest: str) -> Classifier:
    """The model in a version's folder, in evaluation mode, if its weights and its manifest have these digests.

    The very bytes that were hashed are used. Raises VersionCorrupted, naming the file, if anything does not hold:
    size, digests, names, types and shapes of the tensors, or that all values are finite.
    """
    manifest = checked_manifest(folder, manifest_digest)
    model = build(manifest.architecture, manifest.input_shape, len(manifest.class_names), 0, manifest.learning)
    expected = model.state_dict()
    content = _read(folder / WEIGHTS, expected, digest)
    model.load_state_dict(_parse(folder / WEIGHTS, content, expected))
    return model.eval()


def load_importance(folder: Path, manifest_digest: str, model: Classifier) -> Importance:
    """The importance of each task to `model`, loaded from the same folder; none where its tasks leave none behind.

    A wholly forgotten task may have none. Raises what `load` does, also for a file that the manifest does not
    name and for values below zero.
    """
    manifest = checked_manifest(folder, manifest_digest)
    if not isinstance(manifest.learning, SynapticIntelligence):
        return {}
    path = folder / IMPORTANCE
    parameters = dict(model.named_parameters())
    forgotten = forgotten_tasks(manifest.learning.tasks, manifest.forgotten.classes)
    remembered = [task for task in range(len(manifest.learning.tasks)) if task not in forgotten]
    largest = {_task_tensor(task, name): values for task in remembered for name, values in parameters.items()}
    content = _read_named(path, manifest, largest)
    tasks = [task for task in remembered if f'"{_task_tensor(task, "")}'.encode() in content[: _header_end(content)]]
    expected = {_task_tensor(task, name): values for task in tasks for name, values in parameters.items()}
    tensors = _parse(path, content, expected, least=0.0)
    return {task: {name: tensors[_task_tensor(task, name)] for name in parameters} for task in tasks}


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> str:
    """Write these tensors to a new file, durably; as `save`."""
    # Contiguous, because layouts such as channels last are how a process computes, not what a model is.
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        _check_values(stored)
    except ValueError as fault:
        raise GateMissed(f"The training diverged: {fault}. Use a lower learning rate.") from fault
    content = serialize(stored)
    write_durably(path, content)
    return digest_of(content)


def load_tensors(path: Path, manifest: Manifest, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Exactly the expected tensors of a file in a version's folder, all values finite.

    Raises VersionCorrupted, naming the file, if anything does not hold: that the manifest names it, its size and digest,
    the names, types and shapes of its tensors, or that all values are finite.
    """
    return _parse(path, _read_named(path, manifest, expected), expected)


def _flat(importance: Importance) -> list[tuple[int, str, Tensor]]:
    return [(task, name, tensor) for task, tensors in importance.items() for name, tensor in tensors.items()]


def _task_tensor(task: int, name: str) -> str:
    return f"task.{task}.{name}"


def _read_named(path: Path, manifest: Manifest, largest: Mapping[str, Tensor]) -> bytes:
    if path.name not in manifest.files:
        raise VersionCorrupted(f"{file_name(path)} is not named in the manifest; restore the folder from a backup.")
    return _read(path, largest, manifest.files[path.name])


def _read(path: Path, largest: Mapping[str, Tensor], digest: str) -> bytes:
    """The bytes of a file that holds at most these tensors and has this digest."""
    content = read_bounded(path, _LENGTH_BYTES + _header_limit(largest) + _data_bytes(largest))
    check_digest(path, digest_of(content), digest)
    return content


def _parse(
    path: Path, content: bytes, expected: Mapping[str, Tensor], *, least: float = -math.inf
) -> dict[str, Tensor]:
    """Exactly the expected tensors, all values finite and none below `least`; raises VersionCorrupted."""
    try:
        _check_header(content, expected)
        tensors: dict[str, Tensor] = parse(content)
        _check_values(tensors, least)
    except (ValueError, RecursionError, SafetensorError) as fault:
        raise VersionCorrupted(f"{file_name(path)} does not hold the model of its manifest: {fault}.") from fault
    return tensors


def checked_manifest(folder: Path, digest: str) -> Manifest:
    """The manifest of a version's folder, if it has this digest; raises VersionCorrupted, naming it."""
    path = folder / MANIFEST
    content = read_bounded(path, MAX_MANIFEST_BYTES)
    check_digest(path, digest_of(content), digest)
    return parse_manifest(content, f"models/{folder.parent.name}/{folder.name}")


def _header_limit(expected: Mapping[str, Tensor]) -> int:
    """The most bytes a header may have; parsing one costs far more memory than its size (seen: 800 MB for 30 MB)."""
    return _HEADER_BYTES_OF_NONE + sum(len(name) + _HEADER_BYTES_PER_TENSOR for name in expected)


def _data_bytes(expected: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in expected.values())


def _check_header(content: bytes, expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless the header lists exactly the expected tensors; safetensors itself accepts duplicates."""
    end = _header_end(content)
    if end > _LENGTH_BYTES + _header_limit(expected) or len(content) != end + _data_bytes(expected):
        raise ValueError("its length is not that of these tensors")
    header = json.loads(content[_LENGTH_BYTES:end], object_pairs_hook=_without_duplicates)
    if not isinstance(header, dict) or header.keys() != expected.keys():
        raise ValueError("the names of its tensors are others")
    if not all(isinstance(entry, dict) for entry in header.values()):
        raise ValueError("its header does not describe tensors")
    for name, tensor in expected.items():
        described = header[name].get("dtype"), header[name].get("shape")
        if described != (_TYPES[tensor.dtype], list(tensor.shape)):
            raise ValueError(f"the tensor {name} is not {_TYPES[tensor.dtype]} {list(tensor.shape)}")


def _header_end(content: bytes) -> int:
    return _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name occurs twice in its header")
    return entries


def _check_values(tensors: Mapping[str, Tensor], least: float = -math.inf) -> None:
    for name, tensor in sorted(tensors.items()):
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ValueError(f"the tensor {name} has values that are not finite")
        if not bool((tensor >= least).all()):
            raise ValueError(f"the tensor {name} has values below {least}")
