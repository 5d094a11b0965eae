"""Checkpoints of sharded models on disk: as strict as the weights, and only where samples are to be forgotten."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from app.errors import VersionCorrupted
from app.specs.learning import Sisa
from app.store.manifest import CHECKPOINTS, Manifest, Sharded
from app.store.versions import file_name
from app.store.weights import checked_manifest, load_tensors, save_tensors
from app.unlearning.learning.architectures import build
from app.unlearning.learning.sisa.shards import Provenance

_ROWS = "rows"


def save_provenance(provenance: Provenance, path: Path) -> str:
    """Write rows and checkpoints to a new file, durably; `sha256:…` of the file.

    Raises GateMissed where a value is not finite, and StorageUnavailable.
    """
    states = {
        _tensor(place, name): values
        for place, state in provenance.checkpoints.items()
        for name, values in state.items()
    }
    return save_tensors({_ROWS: provenance.rows, **states}, path)


def described(provenance: Provenance, learning: Sisa) -> Sharded:
    """What the manifest says of the checkpoints."""
    first = [
        min((number for place, number in provenance.checkpoints if place == shard), default=learning.slices)
        for shard in range(learning.shards)
    ]
    return Sharded(training=provenance.training, num_rows=len(provenance.rows), first_slices=tuple(first))


def load_provenance(folder: Path, manifest_digest: str) -> Provenance | None:
    """What the model in a version's folder was learned with; None for models that do not learn in shards.

    Raises VersionCorrupted as `load_tensors` does, and where the rows do not ascend from 0 or more.
    """
    manifest = checked_manifest(folder, manifest_digest)
    if manifest.sharded is None:
        return None
    path = folder / CHECKPOINTS
    expected, places = _expected(manifest, manifest.sharded)
    tensors = load_tensors(path, manifest, expected)
    rows = tensors[_ROWS]
    if int(rows[0]) < 0 or not bool((rows.diff() > 0).all()):
        raise VersionCorrupted(f"{file_name(path)} does not name rows in ascending order; restore it from a backup.")
    checkpoints = {place: {name: tensors[_tensor(place, name)] for name in names} for place, names in places.items()}
    return Provenance(manifest.sharded.training, rows, checkpoints)


def _expected(manifest: Manifest, sharded: Sharded) -> tuple[dict[str, Tensor], dict[tuple[int, int], list[str]]]:
    """Tensors like those that the file must hold and, by shard and slice, the names of the tensors of its network."""
    assert isinstance(manifest.learning, Sisa)  # as the manifest checks
    member = build(manifest.architecture, manifest.input_shape, len(manifest.class_names), 0).state_dict()
    places = {
        (shard, number): list(member)
        for shard, first in enumerate(sharded.first_slices)
        for number in range(first, manifest.learning.slices)
    }
    states = {_tensor(place, name): values for place in places for name, values in member.items()}
    return {_ROWS: torch.empty(sharded.num_rows, dtype=torch.int64), **states}, places


def _tensor(place: tuple[int, int], name: str) -> str:
    shard, number = place
    return f"shard.{shard}.slice.{number}.{name}"
