"""Reading files of which nothing is known yet: bounded, never through a link, and with a named reason where it fails."""

from __future__ import annotations

import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

from app.evidence.findings import DoesNotHold, Reason


def read_file(path: Path, limit: int) -> bytes:
    """The bytes of a file; raises DoesNotHold (`file-missing`, `file-too-large` beyond the limit in bytes)."""
    with _opened(path) as file:
        # As much as there is, not as much as there may be: a reader sets aside all that it is asked for.
        content = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
    if len(content) > limit:
        raise DoesNotHold(Reason.FILE_TOO_LARGE, f"{path} has more than {limit} bytes")
    return content


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file of any size, in hex; raises DoesNotHold (`file-missing`)."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _opened(path: Path) -> BufferedReader:
    try:
        # Not blocking: a named pipe in the place of a file would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as fault:
        raise DoesNotHold(Reason.FILE_MISSING, f"{path} cannot be read: {fault.strerror}") from fault
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DoesNotHold(Reason.FILE_MISSING, f"{path} is not a file")
    return os.fdopen(descriptor, "rb")
