"""Proof files are those of c2sp.org/tlog-proof, and are read without forgiveness."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evidence import checkpoint
from app.evidence.checkpoint import Checkpoint
from app.evidence.findings import DoesNotHold, Reason
from app.evidence.merkle import leaf_hash, node_hash
from app.evidence.proof import HEADER, Proof
from tests.unit.evidence.test_note import SIGNER

ROOT = node_hash(leaf_hash(b"zero"), leaf_hash(b"one"))
NOTE = checkpoint.sign(2, ROOT, SIGNER)
PROOF = Proof(1, (leaf_hash(b"zero"),), NOTE, b"one")


@given(
    st.integers(0, 10**18),
    st.lists(st.binary(min_size=32, max_size=32), max_size=64),
    st.binary(max_size=100),
)
def test_any_proof_is_read_back(index: int, hashes: list[bytes], extra: bytes) -> None:
    proof = Proof(index, tuple(hashes), NOTE, extra)
    assert Proof.parse(proof.to_bytes()) == proof


def test_the_file_has_the_lines_of_the_specification() -> None:
    lines = PROOF.to_bytes().decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra b25l", "index 1"]
    assert lines[4:6] == ["", SIGNER.name]
    assert not Proof(0, (), NOTE).to_bytes().decode().startswith(HEADER + "\nextra")


def test_an_entry_at_another_place_is_not_included() -> None:
    signed = checkpoint.verified(NOTE, [SIGNER.key])
    PROOF.check_included(b"one", signed)
    for proof, entry in (
        (PROOF, b"two"),
        (Proof(0, PROOF.hashes, NOTE), b"one"),
        (Proof(1, (), NOTE), b"one"),
        (Proof(2, PROOF.hashes, NOTE), b"one"),
    ):
        with pytest.raises(DoesNotHold) as refused:
            proof.check_included(entry, signed)
        assert refused.value.reason is Reason.NOT_INCLUDED
    with pytest.raises(DoesNotHold):
        PROOF.check_included(b"one", Checkpoint(SIGNER.name, 3, ROOT))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@v1", b"@v2"),
        (b"c2sp", b" c2sp"),
        (b"extra b25l", b"extra "),
        (b"extra b25l", b"extra b25m="),
        (b"extra b25l", b"extra b25l\nextra b25l"),
        (b"extra b25l", b"Extra b25l"),
        (b"index 1\n", b""),
        (b"index 1", b"index 01"),
        (b"index 1", b"index -1"),
        (b"index 1", b"index 1 "),
        (b"index 1", b"index \xd9\xa1"),
        (b"index 1\n", b"index 1\nAAAA\n"),
        (b"index 1\n", b"index 1\n" + 64 * (44 * b"A" + b"\n")),
        (b"=\n\n", b"\n\n"),
        (b"\n\n", b"\n"),
        (b"\n", b"\r\n"),
    ],
)
def test_a_proof_written_otherwise_is_refused(old: bytes, new: bytes) -> None:
    data = PROOF.to_bytes()
    assert old in data
    with pytest.raises(DoesNotHold) as refused:
        Proof.parse(data.replace(old, new))
    assert refused.value.reason is Reason.PROOF_MALFORMED
