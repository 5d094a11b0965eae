"""Commitments hide what they stand for from all but who has the key, and bind to it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evidence.commitments import (
    SampleCommitment,
    commit_samples,
    commitment,
    membership_holds,
    new_key,
    prove_membership,
)
from app.evidence.merkle import EMPTY_ROOT

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
SETS = st.lists(st.text(max_size=8), min_size=1, max_size=40, unique=True)


def test_the_commitment_is_hmac_sha256() -> None:
    # RFC 4231 test case 1 has a key of 20 bytes; HMAC pads keys with zeros, so this one of 32 is the same.
    key = b"\x0b" * 20 + bytes(12)
    expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    assert commitment(key, "Hi There").hex() == expected


@given(SETS)
def test_the_order_of_samples_does_not_matter(samples: list[str]) -> None:
    assert commit_samples(KEY, samples) == commit_samples(KEY, sorted(samples, reverse=True))
    assert commit_samples(KEY, samples).count == len(samples)


@given(SETS, st.data())
def test_each_sample_of_a_set_is_proved_and_no_other(samples: list[str], data: st.DataObject) -> None:
    logged = commit_samples(KEY, samples)
    sample = data.draw(st.sampled_from(samples))
    proof = prove_membership(KEY, samples, sample)
    assert membership_holds(KEY, sample, logged, proof)
    assert not membership_holds(KEY, sample + "x", logged, proof)
    assert not membership_holds(OTHER_KEY, sample, logged, proof)
    assert not membership_holds(KEY, sample, commit_samples(KEY, [*samples, "another one"]), proof)
    assert not membership_holds(KEY, sample, logged, replace(proof, index=proof.index + len(samples)))


def test_the_set_of_another_key_shares_nothing_with_it() -> None:
    assert commit_samples(KEY, ["a", "b"]).root != commit_samples(OTHER_KEY, ["a", "b"]).root
    assert new_key() != new_key()
    assert len(new_key()) == 32


def test_counting_finds_no_identifier_without_the_key() -> None:
    logged = commitment(KEY, "user-7")
    guesses = [f"user-{number}" for number in range(100)]
    assert logged not in {sha256(guess.encode()).digest() for guess in guesses}
    assert logged not in {commitment(OTHER_KEY, guess) for guess in guesses}


def test_a_sample_given_twice_or_not_in_the_set_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        commit_samples(KEY, ["a", "a"])
    with pytest.raises(ValueError, match="not in the set"):
        prove_membership(KEY, ["a", "b"], "c")
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(b"short", "a")
    assert commit_samples(KEY, []) == SampleCommitment(EMPTY_ROOT, 0)
