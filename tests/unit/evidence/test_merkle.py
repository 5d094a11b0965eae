"""The tree's hashes are those of RFC 6962."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evidence.merkle import EMPTY_ROOT, CompactRange, leaf_hash, node_hash
from tests.oracles import naive_merkle_root

# The leaves and roots that Certificate Transparency's implementations are tested with
# (github.com/google/certificate-transparency, merkletree tests).
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def root_of(entries: list[bytes]) -> bytes:
    tree = CompactRange()
    for entry in entries:
        tree.append(leaf_hash(entry))
    return tree.root()


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_published_leaves_are_the_published_ones(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]
    assert naive_merkle_root(LEAVES[:size]).hex() == ROOTS[size]


def test_an_empty_log_has_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == ROOTS[0]


def test_every_size_to_300_agrees_with_the_naive_tree() -> None:
    tree, entries = CompactRange(), list[bytes]()
    for size in range(301):
        assert tree.size == size
        assert tree.root() == naive_merkle_root(entries)
        entries.append(str(size).encode())
        tree.append(leaf_hash(entries[-1]))


@given(st.lists(st.binary(max_size=40), max_size=70))
def test_any_entries_agree_with_the_naive_tree(entries: list[bytes]) -> None:
    assert root_of(entries) == naive_merkle_root(entries)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_any_flipped_bit_changes_the_root(entries: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    changed = bytearray(entries[index] or b"\x00")
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    assert root_of(entries) != root_of([*entries[:index], bytes(changed), *entries[index + 1 :]])


def test_one_hash_is_kept_per_binary_one_of_the_size() -> None:
    tree = CompactRange()
    for size in range(1, 1025):
        tree.append(leaf_hash(b""))
        assert len(tree._roots) == size.bit_count()


def test_a_node_cannot_pass_for_a_leaf() -> None:
    left, right = leaf_hash(b"left"), leaf_hash(b"right")
    assert leaf_hash(left + right) != node_hash(left, right)
