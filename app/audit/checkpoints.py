"""Checkpoints of the log: signed, kept, published where others can hold us to them, and compared with the log.

A checkpoint states size and root. Before one is signed, it is shown that the log still begins with what was signed and what
was published before; nothing is signed backwards. Published ones lie as one file each, named by size and never written
again, in a folder or at an fsspec URL, best where the database's owner cannot write.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audit import signing_keys, tiles
from app.audit.locking import lock
from app.contract.audit import AuditProblem
from app.database.engine import database_now
from app.database.tables import AuditCheckpointRow, AuditEntryRow
from app.errors import CheckpointNotFound, IntegrityViolation, StorageUnavailable
from app.evidence import checkpoint as format_of
from app.evidence.checkpoint import Checkpoint
from app.evidence.encoding import encode_base64
from app.evidence.findings import DoesNotHold
from app.evidence.keys import PublicKeys
from app.evidence.merkle import CompactRange, consistency_proof, tree_root

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_SUFFIX = ".checkpoint"
_DIGITS = 20


@dataclass(frozen=True)
class Publication:
    """Where checkpoints are published."""

    url: str
    """A folder, or what fsspec understands, such as s3://bucket/folder."""

    def publish(self, row: AuditCheckpointRow) -> None:
        """Write one checkpoint, unless it is there; raises StorageUnavailable."""
        files, folder = self._open()
        path = f"{folder}/{row.size:0{_DIGITS}d}{_SUFFIX}"
        try:
            if not files.exists(path):
                files.makedirs(folder, exist_ok=True)
                files.pipe_file(f"{path}.partial", row.note)
                files.mv(f"{path}.partial", path)
        except (OSError, ValueError) as error:
            raise self._unreachable(error) from error

    def newest(self, keys: PublicKeys) -> Checkpoint | None:
        """The newest published checkpoint; None where there is none.

        Raises StorageUnavailable, and IntegrityViolation where what lies there is not signed by a key of this log.
        """
        files, folder = self._open()
        try:
            names = sorted(name for name in files.ls(folder, detail=False) if name.endswith(_SUFFIX))
            note = files.cat_file(names[-1]) if names else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._unreachable(error) from error
        if note is None:
            return None
        try:
            return format_of.verified(note, keys.log)
        except DoesNotHold as fault:
            raise IntegrityViolation(f"{names[-1]} is no checkpoint of this log: {fault}") from fault

    def _open(self) -> tuple[AbstractFileSystem, str]:
        from fsspec.core import url_to_fs  # noqa: PLC0415  commands that publish nothing do without it

        try:
            files, folder = url_to_fs(self.url)
        except (OSError, ValueError, ImportError) as error:
            raise self._unreachable(error) from error
        return files, folder.rstrip("/")

    def _unreachable(self, error: Exception) -> StorageUnavailable:
        return StorageUnavailable(f"checkpoints cannot be published to {self.url}, FORGETTERY_CHECKPOINT_URL: {error}")


def newest(session: Session) -> AuditCheckpointRow:
    """The newest checkpoint that was signed; raises CheckpointNotFound."""
    found = _newest(session)
    if found is None:
        raise CheckpointNotFound(
            "no checkpoint was signed yet; the worker signs one every hour in which the log has grown, if there are signing keys"
        )
    return found


def due(session: Session, every: timedelta) -> bool:
    """Whether the log has another size than the newest checkpoint states, which is as old as this, or none was signed."""
    last = _newest(session)
    size = size_of_log(session)
    return size > 0 if last is None else size != last.size and database_now(session) - last.at >= every


def sign(session: Session, folder_of_keys: Path, published: Checkpoint | None) -> AuditCheckpointRow:
    """Sign the log as it is, in a writing session; the caller publishes the result after the commit.

    `published` is the newest one, read before the session began: nobody can write while that place is slow to answer.
    A log that has not grown since keeps its checkpoint. Raises SigningKeysMissing, and IntegrityViolation where the log
    does not begin with what was signed or published before.
    """
    signer, *others = signing_keys.log_signers(folder_of_keys)
    lock(session)
    last, size = _newest(session), size_of_log(session)
    check_begins_with_published(session, published)
    if last is not None:
        _check_begins_with(session, Checkpoint(signer.name, last.size, last.root))
        if last.size == size:
            return last
    root = tree_root(size, tiles.hashes_of_log(session, size))
    note = format_of.sign(size, root, signer, *others)
    row = AuditCheckpointRow(size=size, root=root, note=note, at=database_now(session))
    session.add(row)
    session.flush()
    return row


def newest_published(folder_of_keys: Path, publication: Publication) -> Checkpoint | None:
    """The newest published checkpoint; None where there is none, or no key that could have signed it.

    Raises what `Publication.newest` raises.
    """
    if not signing_keys.generations(folder_of_keys):
        return None
    return publication.newest(signing_keys.public_keys(folder_of_keys))


def check_begins_with_published(session: Session, published: Checkpoint | None) -> None:
    """Raise IntegrityViolation unless the log begins with the newest published checkpoint, if there is one."""
    if published is None:
        return
    try:
        _check_begins_with(session, published)
    except IntegrityViolation as error:
        raise IntegrityViolation(
            f"{error.detail}: an older state of the database was restored, or the log was changed. Restore the newer state. If "
            "it is lost, say so to those who hold checkpoints, and set FORGETTERY_CHECKPOINT_URL to a place where none is "
            "published; the checkpoint that is published now stays as the proof"
        ) from error


def _check_begins_with(session: Session, kept: Checkpoint) -> None:
    """Raise IntegrityViolation unless the log begins with what a checkpoint of it states."""
    size = size_of_log(session)
    hashes = tiles.hashes_of_log(session, size)
    now = Checkpoint(kept.origin, size, tree_root(size, hashes))
    proof = consistency_proof(kept.size, size, hashes) if 0 < kept.size <= size else []
    try:
        format_of.check_extends(kept, now, proof)
    except DoesNotHold as fault:
        raise IntegrityViolation(
            f"the audit log does not begin with the checkpoint of {kept.size} entries ({fault})"
        ) from fault


class CheckpointCheck:
    """Compares the signed checkpoints with a log that is read from its start."""

    def __init__(self, session: Session) -> None:
        signed = session.execute(select(AuditCheckpointRow.size, AuditCheckpointRow.root, AuditCheckpointRow.note))
        self._signed = {size: (bytes(root), bytes(note)) for size, root, note in signed}

    def look(self, tree: CompactRange) -> Iterator[AuditProblem]:
        """A problem where a checkpoint of this very size states another root, or its note another text."""
        found = self._signed.pop(tree.size, None)
        if found is None:
            return
        root, note = found
        if root != tree.root():
            yield _problem(tree.size, "is of another log: an entry up to there was changed since it was signed")
        stated = f"\n{tree.size}\n{encode_base64(root)}\n".encode()
        if stated not in note:
            yield _problem(tree.size, "is not the one that its note states: the row was changed")

    def rest(self) -> Iterator[AuditProblem]:
        """A problem for each checkpoint of more entries than there are."""
        for size in sorted(self._signed):
            yield _problem(size, "was signed, and the log has fewer entries: its last ones were removed")


def _problem(size: int, fault: str) -> AuditProblem:
    return AuditProblem(index=size - 1, column="checkpoint", reason=f"the checkpoint of {size} entries {fault}")


def _newest(session: Session) -> AuditCheckpointRow | None:
    return session.scalar(select(AuditCheckpointRow).order_by(AuditCheckpointRow.size.desc()).limit(1))


def size_of_log(session: Session) -> int:
    """How many entries the log has."""
    last = session.scalar(select(func.max(AuditEntryRow.leaf_index)))
    return 0 if last is None else last + 1
