"""Keyed commitments: what a log may hold of identifiers, so that only the holder of the key can tell what they are.

A hash of an identifier is found again by counting; HMAC-SHA-256 (RFC 2104) with a random key for each request is not.
The log holds only the number of samples in a set, and the Merkle root of their sorted commitments. The holder of the
key can show that one sample was in the set, without the others; when every copy of the key is destroyed, nobody can
tell any more.
"""

from __future__ import annotations

import hmac
import secrets
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from app.evidence.merkle import hashes_of, inclusion_holds, inclusion_proof, leaf_hash, root_of

KEY_BYTES = 32


@dataclass(frozen=True)
class SampleCommitment:
    """What is logged of a set of samples: a root of 32 bytes, and how many they are."""

    root: bytes
    count: int


@dataclass(frozen=True)
class MembershipProof:
    """Shows that a sample was in the set: its place among the sorted commitments, and the hashes up to the root."""

    index: int
    hashes: tuple[bytes, ...]


def new_key() -> bytes:
    """A random key of KEY_BYTES bytes, for one request alone."""
    return secrets.token_bytes(KEY_BYTES)


def commitment(key: bytes, identifier: str) -> bytes:
    """The 32 bytes that stand for an identifier; raises ValueError for a key of another length."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key of commitments has {KEY_BYTES} bytes")
    return hmac.digest(key, identifier.encode(), "sha256")


def commit_samples(key: bytes, sample_ids: Iterable[str]) -> SampleCommitment:
    """Commit to a set of samples; the order they are given in does not matter. Raises ValueError for one given twice."""
    leaves = [leaf_hash(committed) for committed in _sorted_commitments(key, sample_ids)]
    return SampleCommitment(root_of(leaves), len(leaves))


def prove_membership(key: bytes, sample_ids: Iterable[str], sample_id: str) -> MembershipProof:
    """The proof that a sample is in the set; raises ValueError where it is not."""
    committed = _sorted_commitments(key, sample_ids)
    own = commitment(key, sample_id)
    index = bisect_left(committed, own)
    if committed[index : index + 1] != [own]:
        raise ValueError("the sample is not in the set")
    leaves = [leaf_hash(found) for found in committed]
    return MembershipProof(index, tuple(inclusion_proof(index, len(leaves), hashes_of(leaves))))


def membership_holds(key: bytes, sample_id: str, logged: SampleCommitment, proof: MembershipProof) -> bool:
    """Whether a sample was in the set whose commitment was logged."""
    leaf = leaf_hash(commitment(key, sample_id))
    return inclusion_holds(proof.index, logged.count, leaf, proof.hashes, logged.root)


def _sorted_commitments(key: bytes, sample_ids: Iterable[str]) -> list[bytes]:
    committed = sorted(commitment(key, sample_id) for sample_id in sample_ids)
    if len(set(committed)) != len(committed):
        raise ValueError("a sample is given twice")
    return committed
