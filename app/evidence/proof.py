"""Proof files (c2sp.org/tlog-proof, version 1): that an entry is in a log, checked with the log's public key alone."""

from __future__ import annotations

from dataclasses import dataclass

from app.evidence.checkpoint import Checkpoint
from app.evidence.encoding import decode_base64, decode_number, encode_base64
from app.evidence.findings import DoesNotHold, Reason
from app.evidence.merkle import HASH_BYTES, inclusion_holds, leaf_hash

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 64
_EXTRA, _INDEX = "extra ", "index "


@dataclass(frozen=True)
class Proof:
    """Where an entry is, the hashes from its sibling to the root's child, and the signed checkpoint they lead to.

    `extra` travels along unsigned: here the entry's own bytes, which count because their hash does; it may be empty.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def to_bytes(self) -> bytes:
        """The file."""
        lines = [HEADER]
        if self.extra:
            lines.append(_EXTRA + encode_base64(self.extra))
        lines += [f"{_INDEX}{self.index}", *map(encode_base64, self.hashes), "", ""]
        return "\n".join(lines).encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> Proof:
        """Read a file; raises DoesNotHold (`proof-malformed`) unless it is written as `to_bytes` writes it."""
        head, separator, note = data.partition(b"\n\n")
        if not head.startswith(HEADER.encode() + b"\n") or not separator:
            raise DoesNotHold(Reason.PROOF_MALFORMED, f"its first line is not {HEADER}, or it has no checkpoint")
        try:
            _, *lines = head.decode("ascii").split("\n")
            extra = _decoded_extra(lines.pop(0)) if lines and lines[0].startswith(_EXTRA) else b""
            return cls(_decoded_index(lines), tuple(map(_decoded_hash, lines[1:])), note, extra)
        except ValueError as fault:
            raise DoesNotHold(Reason.PROOF_MALFORMED, f"not a proof file: {fault}") from fault

    def check_included(self, entry: bytes, signed: Checkpoint) -> None:
        """Raise DoesNotHold (`not-included`) unless the hashes lead from the entry to the checkpoint's root."""
        if not inclusion_holds(self.index, signed.size, leaf_hash(entry), self.hashes, signed.root):
            detail = f"the hashes do not lead from entry {self.index} to the root of {signed.size} entries"
            raise DoesNotHold(Reason.NOT_INCLUDED, detail)


def _decoded_extra(line: str) -> bytes:
    extra = decode_base64(line.removeprefix(_EXTRA))
    if not extra:
        raise ValueError("an extra line without content is left out")
    return extra


def _decoded_index(lines: list[str]) -> int:
    if not lines or not lines[0].startswith(_INDEX):
        raise ValueError("it has no index line")
    if len(lines) > MAX_HASHES + 1:
        raise ValueError(f"it has more than {MAX_HASHES} hashes")
    return decode_number(lines[0].removeprefix(_INDEX))


def _decoded_hash(line: str) -> bytes:
    content = decode_base64(line)
    if len(content) != HASH_BYTES:
        raise ValueError(f"a hash has {HASH_BYTES} bytes")
    return content
