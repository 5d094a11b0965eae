"""A version's guard on disk: a file of its own, read as strictly as the weights, and deleted without them."""

from __future__ import annotations

from pathlib import Path

from app.errors import VersionCorrupted
from app.store.manifest import GUARD, GuardRecord
from app.store.versions import file_name
from app.store.weights import checked_manifest, load_tensors, save_tensors
from app.unlearning.learning.architectures import seeded
from app.unlearning.refusing.guard import Guard


def save_guard(guard: Guard, path: Path) -> str:
    """Write the guard to a new file, durably; `sha256:…` of the file. Raises what `weights.save` does."""
    return save_tensors(guard.state_dict(), path)


def described(guard: Guard) -> GuardRecord:
    """What the manifest says of a guard."""
    return GuardRecord(classes=list(guard.guarded_classes), parameters=guard.recipe)


def load_guard(folder: Path, manifest_digest: str) -> Guard | None:
    """The guard in a version's folder, in evaluation mode; None where the manifest has none.

    Raises VersionCorrupted as `weights.load` does: also where the guard is missing, or is of other classes than recorded.
    """
    manifest = checked_manifest(folder, manifest_digest)
    if manifest.guard is None:
        return None
    path = folder / GUARD
    with seeded(0):
        guard = Guard(manifest.guard.parameters, manifest.input_shape, len(manifest.class_names))
    guard.load_state_dict(load_tensors(path, manifest, guard.state_dict()))
    if list(guard.guarded_classes) != manifest.guard.classes:
        raise VersionCorrupted(
            f"{file_name(path)} is of other classes than its manifest says; restore it from a backup."
        )
    return guard.eval().requires_grad_(requires_grad=False)
