"""Checkpoints (c2sp.org/tlog-checkpoint): the size and root of a log at one moment, signed as a note.

A person who keeps a checkpoint can later tell whether the log still begins with what it held then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from app.evidence.encoding import decode_base64, decode_number, encode_base64
from app.evidence.findings import DoesNotHold, Reason
from app.evidence.merkle import HASH_BYTES, consistency_holds
from app.evidence.note import NoteKey, NoteSigner, verified_text

_LINES = 3


@dataclass(frozen=True)
class Checkpoint:
    """A log's origin (its name, not an address), its number of entries, and its root of 32 bytes."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


def sign(size: int, root: bytes, signer: NoteSigner, *others: NoteSigner) -> bytes:
    """The signed note of a checkpoint whose origin is the signer's name; `others` are older keys of the same log.

    The caller must have made sure that the log extends every checkpoint signed before (`check_extends`).
    """
    return signer.sign(Checkpoint(signer.name, size, root).text, *others)


def verified(note: bytes, keys: Collection[NoteKey]) -> Checkpoint:
    """The checkpoint of a note that its own log has signed with one of the keys.

    Raises DoesNotHold as `note.verified_text` does, `checkpoint-malformed` for another text, and `origin-wrong` where
    none of the keys has the origin as its name.
    """
    checkpoint = parse(verified_text(note, keys))
    of_origin = [key for key in keys if key.name == checkpoint.origin]
    if not of_origin:
        named = ", ".join(sorted({key.name for key in keys}))
        raise DoesNotHold(Reason.ORIGIN_WRONG, f"the log is {checkpoint.origin}, the keys are those of {named}")
    verified_text(note, of_origin)
    return checkpoint


def parse(text: str) -> Checkpoint:
    """The checkpoint of a note's text; raises DoesNotHold. Lines beyond the third may be there; they mean nothing."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < _LINES or not all(lines):
        raise DoesNotHold(Reason.CHECKPOINT_MALFORMED, "a checkpoint has an origin, a size and a root, a line each")
    try:
        size, root = decode_number(lines[1]), decode_base64(lines[2])
    except ValueError as fault:
        raise DoesNotHold(Reason.CHECKPOINT_MALFORMED, f"size or root of the checkpoint: {fault}") from fault
    if len(root) != HASH_BYTES:
        raise DoesNotHold(Reason.CHECKPOINT_MALFORMED, f"a root has {HASH_BYTES} bytes, not {len(root)}")
    return Checkpoint(lines[0], size, root)


def check_extends(kept: Checkpoint, now: Checkpoint, proof: Sequence[bytes]) -> None:
    """Raise DoesNotHold unless a later checkpoint is one of the same log, grown.

    The reasons are `rolled-back` (it is smaller), `forked` (same size, other root), `not-consistent` (the proof does
    not show that it begins with the kept one) and `origin-wrong` (it is another log).
    """
    check_not_smaller(kept, now)
    if kept.size == now.size and kept.root != now.root:
        raise DoesNotHold(Reason.FORKED, f"there are two logs of {now.size} entries: their roots differ")
    if not consistency_holds(kept.size, now.size, kept.root, now.root, proof):
        detail = f"the proof does not show that the log of {now.size} entries begins with the kept {kept.size}"
        raise DoesNotHold(Reason.NOT_CONSISTENT, detail)


def check_not_smaller(kept: Checkpoint, now: Checkpoint) -> None:
    """Raise DoesNotHold where a later checkpoint is of another log, or of fewer entries."""
    if kept.origin != now.origin:
        raise DoesNotHold(Reason.ORIGIN_WRONG, f"the kept checkpoint is of {kept.origin}, the log is {now.origin}")
    if now.size < kept.size:
        detail = f"the log has {now.size} entries, but had {kept.size} when the kept checkpoint was signed"
        raise DoesNotHold(Reason.ROLLED_BACK, detail)
