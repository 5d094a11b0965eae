"""The folders of all versions. A version is published by one rename, so it is wholly there or not at all.

Layout below the root: `models/{model}/{number}/` for versions, `staging/` for everything not yet or no longer one.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from app.errors import InvalidValue, StorageUnavailable, VersionCorrupted
from app.files import file_digest, remove, storage_faults, sync_file, sync_folder, write_durably
from app.store.manifest import CARD, MANIFEST, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from app.store.model_card import render

_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_ATTEMPT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_NUMBER = re.compile(r"[1-9][0-9]*")
_KEPT_AFTER_PURGE = {MANIFEST, CARD}
ORPHAN_SECONDS = 3600.0
"""Seconds until an unknown folder counts as an orphan; far longer than the transaction that records a renamed
folder."""


@dataclass(frozen=True)
class VersionStore:
    """The versions below one root folder; safe to use from many processes at once."""

    root: Path

    def folder(self, model: str, number: int) -> Path:
        """Where a version is; raises InvalidValue for what is no model name or number, so that no path leaves the root."""
        if number < 1:
            raise InvalidValue(f"{number} is not a version number; the first is 1.")
        return self._model_folder(model) / str(number)

    def stage(self, attempt: str) -> Path:
        """A fresh, empty folder for one attempt; what an earlier try of the same attempt left is removed.

        Raises StorageUnavailable if it cannot be made.
        """
        staged = self._staged(attempt)
        with storage_faults(self.root):
            self._remove(staged)
            staged.mkdir(parents=True)
        return staged

    def discard(self, attempt: str) -> None:
        """Remove what an attempt that is over has staged and not published, if anything; raises StorageUnavailable."""
        staged = self._staged(attempt)
        with storage_faults(self.root):
            if staged.exists():
                self._remove(staged)

    def seal(self, staged: Path, manifest: Manifest) -> Manifest:
        """Write the model card and, last, `manifest.json` with the digest of every file; gives the manifest as written.

        Raises StorageUnavailable if the disk is full or not writable.
        """
        write_durably(staged / CARD, render(manifest).encode())
        with storage_faults(self.root):
            digests = {path.name: file_digest(path) for path in sorted(staged.iterdir())}
        sealed = Manifest.model_validate(manifest.model_dump() | {"files": digests})
        write_durably(staged / MANIFEST, sealed.to_bytes())
        return sealed

    def publish(self, staged: Path, model: str, number: int) -> None:
        """Make a sealed folder the version of this number, durably, by one rename.

        Call it as the last step before the commit that records the version: a folder of this number can then only be
        an orphan of an attempt that died between the two, and is removed. Raises StorageUnavailable; nothing is
        visible then.
        """
        target = self.folder(model, number)
        with storage_faults(self.root):
            for path in staged.iterdir():
                sync_file(path)
            os.utime(staged)  # the age of an orphan counts from here
            sync_folder(staged)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._remove(target)
            staged.rename(target)
            for folder in (target.parent, target.parent.parent, self._staging, self.root):
                sync_folder(folder)

    def read_manifest(self, model: str, number: int) -> Manifest:
        """The manifest of a version; raises VersionCorrupted, naming it, if it is missing or not readable as one."""
        return read_manifest(self.folder(model, number))

    def remove_file(self, model: str, number: int, name: str) -> None:
        """Remove one file of a version, durably; removing it again changes nothing. Raises StorageUnavailable."""
        folder = self.folder(model, number)
        with storage_faults(self.root):
            if folder.is_dir():
                remove(folder / name)
                sync_folder(folder)

    def purge_weights(self, model: str, number: int) -> None:
        """Destroy every file of a version but its manifest and card; doing it again changes nothing.

        Files are unlinked, never truncated: a process that has mapped one would be killed by the kernel.
        Raises StorageUnavailable.
        """
        folder = self.folder(model, number)
        with storage_faults(self.root):
            if not folder.is_dir():
                return
            for path in folder.iterdir():
                if path.name not in _KEPT_AFTER_PURGE:
                    remove(path)
            sync_folder(folder)

    def sweep(
        self, known: Collection[tuple[str, int]], live_attempts: Collection[str], *, older_than: float = ORPHAN_SECONDS
    ) -> list[Path]:
        """Remove staged folders of no live attempt and version folders unknown to the database; gives the removed ones.

        Only folders made or published at least `older_than` seconds ago go: an attempt may have published a version
        whose transaction is not yet committed, or may have started after `live_attempts` was read. Raises
        StorageUnavailable.
        """
        newest = time.time() - older_than
        with storage_faults(self.root):
            staged = [path for path in _entries(self._staging) if path.name not in live_attempts]
            versions = [path for path in self._version_folders() if (path.parent.name, int(path.name)) not in known]
            orphans = [path for path in staged + versions if _modified(path) <= newest]
            for path in orphans:
                self._remove(path)
        return orphans

    @property
    def _staging(self) -> Path:
        return self.root / "staging"

    def _staged(self, attempt: str) -> Path:
        if not _ATTEMPT_NAME.fullmatch(attempt):
            raise InvalidValue(f"{attempt!r} is not the name of an attempt: use letters, digits, - and _.")
        return self._staging / attempt

    def _model_folder(self, model: str) -> Path:
        if not _MODEL_NAME.fullmatch(model):
            raise InvalidValue(f"{model!r} is not a model name.")
        return self.root / "models" / model

    def _version_folders(self) -> Iterator[Path]:
        for model in _entries(self.root / "models"):
            if _MODEL_NAME.fullmatch(model.name):
                yield from (path for path in _entries(model) if _NUMBER.fullmatch(path.name))

    def _remove(self, path: Path) -> None:
        """Remove a folder or file; it is renamed away first, so that nobody sees half of it."""
        doomed = self._staging / f"removed-{uuid4().hex}"
        self._staging.mkdir(parents=True, exist_ok=True)
        try:
            path.rename(doomed)
        except FileNotFoundError:
            return
        sync_folder(path.parent)
        remove(doomed)


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a version's folder; raises VersionCorrupted, naming it, if it is missing or not readable as one."""
    return parse_manifest(read_bounded(folder / MANIFEST, MAX_MANIFEST_BYTES), _name(folder))


def verify_files(folder: Path, digests: Mapping[str, str]) -> None:
    """Raise VersionCorrupted, naming the first file that is missing or whose bytes do not have its digest.

    Raises StorageUnavailable where a file is there but the system does not let it be read.
    """
    for name, digest in sorted(digests.items()):
        open_checked(folder / name, digest).close()


def open_checked(path: Path, digest: str) -> BinaryIO:
    """A version's file, opened at its start, its bytes just checked; raises what `verify_files` does."""
    with _reading(path), ExitStack() as held:
        file = held.enter_context(path.open("rb"))
        check_digest(path, "sha256:" + hashlib.file_digest(file, "sha256").hexdigest(), digest)
        file.seek(0)
        held.pop_all()
        return file


def check_digest(path: Path, found: str, digest: str) -> None:
    """Raise VersionCorrupted, naming the file, unless the digest found is the one recorded."""
    if found != digest:
        raise VersionCorrupted(
            f"{file_name(path)} does not match its digest: recorded {digest}, found {found}; "
            "restore the file from a backup."
        )


def read_bounded(path: Path, limit: int) -> bytes:
    """All bytes of a version's file; raises VersionCorrupted, naming it, if it is missing or longer than the limit.

    Raises StorageUnavailable where it is there but the system does not let it be read.
    """
    with _reading(path), path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise VersionCorrupted(f"{file_name(path)} is longer than the {limit:,} bytes it may have.")
    return content


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as fault:
        raise VersionCorrupted(f"{file_name(path)} is missing; restore the file from a backup.") from fault
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise StorageUnavailable(f"{file_name(path)} cannot be read: {reason}; see to the disk.") from fault


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:  # another process sweeps, too
        return math.inf


def file_name(path: Path) -> str:
    """A version's file as messages name it: `models/{model}/{number}/{file}`."""
    return f"{_name(path.parent)}/{path.name}"


def _name(folder: Path) -> str:
    return f"models/{folder.parent.name}/{folder.name}"
