"""Files that are either wholly there or not at all, also after a power cut; faults become StorageUnavailable."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import StorageUnavailable

_ADVICE = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some disk space or raise the quota",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EACCES: "let the server's user write there",
    errno.EPERM: "let the server's user write there",
    errno.EROFS: "mount it writable or set FORGETTERY_HOME to a writable folder",
}


@contextmanager
def storage_faults(folder: Path) -> Iterator[None]:
    """Raise StorageUnavailable, naming the folder and what to do, where the block fails with an OSError."""
    try:
        yield
    except OSError as fault:
        reason = fault.strerror or str(fault)
        advice = _ADVICE.get(fault.errno or 0, "see to the disk and its folders")
        raise StorageUnavailable(f"The store at {folder} cannot be written: {reason}; {advice}.") from fault


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file and force it to the disk; the folder's entry becomes durable with `sync_folder`.

    Raises StorageUnavailable if the disk is full or the folder not writable, and leaves no partial file then.
    """
    with storage_faults(path.parent), path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; what is gone, or goes meanwhile by another process, is gone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_unless_gone)
    else:
        path.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Force a file's content to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Force a folder's entries (names made, renamed, removed) to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(content: bytes | memoryview) -> str:
    """`sha256:` and the SHA-256 of the bytes in hex."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """`sha256:` and the SHA-256 of the file's bytes in hex."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _unless_gone(_function: object, _path: str, fault: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(fault[1], FileNotFoundError):
        raise fault[1]
