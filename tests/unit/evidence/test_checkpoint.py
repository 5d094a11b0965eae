"""Checkpoints are those of c2sp.org/tlog-checkpoint, and a kept one finds a cut, a fork and a rewrite."""

from __future__ import annotations

import pytest

from app.evidence import checkpoint
from app.evidence.checkpoint import Checkpoint, check_extends
from app.evidence.findings import DoesNotHold, Reason
from app.evidence.merkle import consistency_proof, hashes_of, leaf_hash, root_of
from tests.unit.evidence.test_note import OTHER, SIGNER

ROOT = root_of([leaf_hash(b"only")])
# The specification's example.
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def leaves_of(*entries: str) -> list[bytes]:
    return [leaf_hash(entry.encode()) for entry in entries]


def at(leaves: list[bytes], size: int, origin: str = SIGNER.name) -> Checkpoint:
    return Checkpoint(origin, size, root_of(leaves[:size]))


def reason_for(kept: Checkpoint, now: Checkpoint, proof: list[bytes]) -> Reason:
    with pytest.raises(DoesNotHold) as refused:
        check_extends(kept, now, proof)
    return refused.value.reason


def test_the_specifications_example_is_read() -> None:
    found = checkpoint.parse(EXAMPLE)
    assert (found.origin, found.size, found.root.hex()[:8]) == ("example.com/behind-the-sofa", 20852163, "0ac5186a")
    assert found.text == EXAMPLE


def test_a_signed_checkpoint_is_read_back() -> None:
    note = checkpoint.sign(1, ROOT, SIGNER)
    assert checkpoint.verified(note, [OTHER.key, SIGNER.key]) == Checkpoint(SIGNER.name, 1, ROOT)


def test_a_checkpoint_of_another_log_is_refused_though_a_trusted_key_signed_it() -> None:
    foreign = SIGNER.sign(Checkpoint("elsewhere.example", 1, ROOT).text)
    with pytest.raises(DoesNotHold) as refused:
        checkpoint.verified(foreign, [SIGNER.key])
    assert refused.value.reason is Reason.ORIGIN_WRONG
    of_two = SIGNER.sign(Checkpoint(OTHER.name, 1, ROOT).text)
    with pytest.raises(DoesNotHold) as refused:
        checkpoint.verified(of_two, [SIGNER.key, OTHER.key])
    assert refused.value.reason is Reason.KEY_UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "origin\n1\n",
        EXAMPLE.replace("20852163", "020852163"),
        EXAMPLE.replace("20852163", "-1"),
        EXAMPLE.replace("20852163", "²"),
        EXAMPLE.replace("20852163", "9" * 20),
        EXAMPLE.replace("q2I=", "q2J="),
        EXAMPLE.replace("q2I=", ""),
        EXAMPLE.replace("CsUY", ""),
        EXAMPLE + "\nextension\n",
        "\n" + EXAMPLE,
    ],
)
def test_a_checkpoint_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(DoesNotHold) as refused:
        checkpoint.parse(text)
    assert refused.value.reason is Reason.CHECKPOINT_MALFORMED


def test_a_grown_log_extends_every_checkpoint_kept_of_it() -> None:
    leaves = leaves_of(*"abcdefg")
    for size in range(8):
        check_extends(at(leaves, size), at(leaves, 7), consistency_proof(size, 7, hashes_of(leaves)))


def test_a_cut_log_is_named_as_rolled_back() -> None:
    leaves = leaves_of(*"abcdefg")
    assert reason_for(at(leaves, 7), at(leaves, 5), []) is Reason.ROLLED_BACK


def test_two_logs_of_one_size_are_named_as_a_fork() -> None:
    assert reason_for(at(leaves_of(*"abc"), 3), at(leaves_of(*"abX"), 3), []) is Reason.FORKED


def test_a_rewritten_log_cannot_be_proved_to_extend_the_kept_one() -> None:
    true, rewritten = leaves_of(*"abcdefg"), leaves_of(*"aXcdefghi")
    for proof in (
        consistency_proof(5, 9, hashes_of(rewritten)),
        consistency_proof(5, 7, hashes_of(true)),
        [],
    ):
        assert reason_for(at(true, 5), at(rewritten, 9), proof) is Reason.NOT_CONSISTENT


def test_another_log_extends_nothing() -> None:
    leaves = leaves_of(*"ab")
    proof = consistency_proof(1, 2, hashes_of(leaves))
    assert reason_for(at(leaves, 1), at(leaves, 2, "elsewhere.example"), proof) is Reason.ORIGIN_WRONG
