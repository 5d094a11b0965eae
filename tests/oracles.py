"""Slow and obvious references that the product's fast code is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def naive_merkle_root(entries: Sequence[bytes]) -> bytes:
    """The Merkle tree hash, word for word as RFC 6962 section 2.1 defines it."""
    if not entries:
        return sha256().digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    left, right = naive_merkle_root(entries[:split]), naive_merkle_root(entries[split:])
    return sha256(b"\x01" + left + right).digest()
