"""Merkle tree hashes (RFC 6962 section 2.1, kept by RFC 9162): SHA-256 with leaves and nodes in separate domains."""

from __future__ import annotations

from functools import reduce
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
"""The root of a log without entries."""


def leaf_hash(entry: bytes) -> bytes:
    """The 32 bytes that stand for an entry: SHA-256 of 0x00 and its bytes."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32 bytes that stand for two subtrees: SHA-256 of 0x01 and both hashes."""
    return sha256(b"\x01" + left + right).digest()


class CompactRange:
    """A growing tree of which only the roots of its perfect subtrees are kept: one hash per binary 1 of its size."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []  # largest subtree first

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        node, size = leaf, self.size
        while size & 1:  # a perfect subtree of the same height waits on the left
            node = node_hash(self._roots.pop(), node)
            size >>= 1
        self._roots.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The tree hash over all leaves so far, 32 bytes."""
        if not self._roots:
            return EMPTY_ROOT
        return reduce(lambda right, left: node_hash(left, right), reversed(self._roots))
