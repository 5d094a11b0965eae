from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.errors import StorageUnavailable
from app.store import weights
from app.store.manifest import WEIGHTS
from app.store.versions import VersionStore
from app.unlearning.learning.architectures import Classifier


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _fill(disk: Path, *, leave: int) -> None:
    with (disk / "filling").open("wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(4096)):
                pass
        file.truncate(file.tell() - leave)


def test_a_full_disk_while_saving_weights_leaves_nothing(small_disk: Path, model: Classifier) -> None:
    staged = VersionStore(small_disk).stage("attempt-1")
    _fill(small_disk, leave=0)
    with pytest.raises(StorageUnavailable, match=r"No space left on device; free some disk space"):
        weights.save(model, staged / WEIGHTS)
    assert list(staged.iterdir()) == []


def test_a_full_disk_while_sealing_makes_no_manifest_and_no_version(
    small_disk: Path, model: Classifier, manifest: Any
) -> None:
    store = VersionStore(small_disk)
    staged = store.stage("attempt-1")
    weights.save(model, staged / WEIGHTS)
    _fill(small_disk, leave=8192)
    with pytest.raises(StorageUnavailable, match="No space left on device"):
        store.seal(staged, manifest.model_copy(update={"recipe": {"long": "x" * 20_000}}))
    assert [path.name for path in staged.iterdir() if path.name.startswith("manifest")] == []
    assert not (small_disk / "models").exists()


def test_a_full_disk_can_still_be_purged(small_disk: Path, model: Classifier, manifest: Any) -> None:
    store = VersionStore(small_disk)
    staged = store.stage("attempt-1")
    weights.save(model, staged / WEIGHTS)
    store.seal(staged, manifest)
    store.publish(staged, "digits", 2)
    _fill(small_disk, leave=0)
    store.purge_weights("digits", 2)
    assert not (store.folder("digits", 2) / WEIGHTS).exists()
