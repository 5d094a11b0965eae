"""Whether a folder holds the files that a certificate speaks of: each of them as it was, and no other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.evidence.findings import DoesNotHold, Reason
from app.evidence.predicate import Digest, Subject
from app.evidence.reading import sha256_of


def check_files(folder: Path, subjects: Sequence[Subject]) -> None:
    """Raise DoesNotHold: `subject-missing`, `subject-changed`, or `file-not-a-subject` for any other file or folder.

    Hidden files count, links are not followed.
    """
    found = set(_names(folder))
    for subject in subjects:
        if subject.name not in found:
            raise DoesNotHold(Reason.SUBJECT_MISSING, f"{folder} has no file {subject.name}")
        digest = sha256_of(folder / subject.name)
        if digest != subject.digest.sha256:
            raise DoesNotHold(Reason.SUBJECT_CHANGED, f"{subject.name} has the SHA-256 {digest}, not the certified one")
    for name in sorted(found - {subject.name for subject in subjects}):
        raise DoesNotHold(Reason.FILE_NOT_A_SUBJECT, f"the certificate knows of no {name} in {folder}")


def subjects_of(folder: Path) -> tuple[Subject, ...]:
    """Every file of a folder as a subject, sorted by name; raises DoesNotHold where it holds a folder or a link."""
    return tuple(Subject(name=name, digest=Digest(sha256=sha256_of(folder / name))) for name in sorted(_names(folder)))


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from [entry.name for entry in entries]
    except OSError as fault:
        raise DoesNotHold(Reason.FILE_MISSING, f"{folder} cannot be read: {fault.strerror}") from fault
