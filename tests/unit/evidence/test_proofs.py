"""Proofs are those of RFC 6962, hold for every size, and fail when any bit of them changes."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.evidence.merkle import (
    EMPTY_ROOT,
    CompactRange,
    HashReader,
    consistency_holds,
    consistency_proof,
    hashes_of,
    inclusion_holds,
    inclusion_proof,
    leaf_hash,
    root_of,
    tree_root,
)
from app.evidence.tiles import Tile, TileHashes, tile_root, tiles_of
from tests.oracles import naive_consistency_proof, naive_inclusion_proof
from tests.unit.evidence.test_merkle import LEAVES

# Paths over the published leaves (RFC 6962's reference implementation, merkletree tests).
PUBLISHED_INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
PUBLISHED_CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
# Around one tile, and around a full tile of level 1.
EDGES = [254, 255, 256, 257, 511, 512, 513, 65_534, 65_535, 65_536, 65_537, 65_800]
MOST = max(EDGES)


def entries_to(size: int) -> list[bytes]:
    return [str(index).encode() for index in range(size)]


@cache
def leaves_to(size: int) -> list[bytes]:
    return [leaf_hash(entry) for entry in entries_to(size)]


@cache
def tiles_to(size: int) -> dict[Tile, bytes]:
    """Every tile, made level by level."""
    level, hashes, found = 0, leaves_to(size), dict[Tile, bytes]()
    while hashes:
        for first in range(0, len(hashes), 256):
            part = hashes[first : first + 256]
            found[Tile(level, first // 256, len(part))] = b"".join(part)
        hashes = [tile_root(tile) for place, tile in found.items() if place.level == level and place.width == 256]
        level += 1
    return found


def tile_reader(size: int) -> HashReader:
    return TileHashes(size, tiles_to(size).__getitem__)


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize(("index", "size"), PUBLISHED_INCLUSION)
def test_inclusion_proofs_of_the_published_leaves_are_the_published_ones(index: int, size: int) -> None:
    leaves = [leaf_hash(leaf) for leaf in LEAVES[:size]]
    found = inclusion_proof(index, size, hashes_of(leaves))
    assert [node.hex() for node in found] == PUBLISHED_INCLUSION[index, size]


@pytest.mark.parametrize(("old_size", "size"), PUBLISHED_CONSISTENCY)
def test_consistency_proofs_of_the_published_leaves_are_the_published_ones(old_size: int, size: int) -> None:
    leaves = [leaf_hash(leaf) for leaf in LEAVES[:size]]
    found = consistency_proof(old_size, size, hashes_of(leaves))
    assert [node.hex() for node in found] == PUBLISHED_CONSISTENCY[old_size, size]


def test_every_proof_of_small_trees_is_that_of_the_definition() -> None:
    for size in range(1, 40):
        entries, read = entries_to(size), hashes_of(leaves_to(size))
        for index in range(size):
            assert inclusion_proof(index, size, read) == naive_inclusion_proof(index, entries)
        for old_size in range(1, size + 1):
            assert consistency_proof(old_size, size, read) == naive_consistency_proof(old_size, entries)


def test_every_size_to_300_has_proofs_that_hold_from_tiles_of_the_largest() -> None:
    leaves, read = leaves_to(300), tile_reader(300)
    roots = [root_of(leaves[:size]) for size in range(301)]
    for size in range(1, 301):
        assert tree_root(size, read) == roots[size]
        for index in {0, size // 3, size // 2, size - 1}:
            assert inclusion_holds(index, size, leaves[index], inclusion_proof(index, size, read), roots[size])
        for old_size in {0, 1, size // 3, size // 2, size - 1, size}:
            proof = consistency_proof(old_size, size, read)
            assert consistency_holds(old_size, size, roots[old_size], roots[size], proof)


@cache
def edge_roots() -> dict[int, bytes]:
    tree, found = CompactRange(), dict[int, bytes]()
    for leaf in leaves_to(MOST):
        tree.append(leaf)
        if tree.size in EDGES:
            found[tree.size] = tree.root()
    return found


@settings(max_examples=60)
@given(st.sampled_from(EDGES), st.data())
def test_proofs_across_the_edges_of_tiles_hold_and_are_short(size: int, data: st.DataObject) -> None:
    read, roots = tile_reader(MOST), edge_roots()
    near = st.sampled_from([index for edge in EDGES for index in (edge - 1, edge) if index < size])
    index = data.draw(near | st.integers(0, size - 1))
    proof = inclusion_proof(index, size, read)
    assert len(proof) <= size.bit_length()
    assert inclusion_holds(index, size, leaves_to(MOST)[index], proof, roots[size])
    old_size = data.draw(st.sampled_from([edge for edge in EDGES if edge <= size]))
    consistency = consistency_proof(old_size, size, read)
    assert len(consistency) <= size.bit_length() + 1
    assert consistency_holds(old_size, size, roots[old_size], roots[size], consistency)


@given(st.integers(2, 300), st.data())
def test_any_flipped_bit_of_an_inclusion_proof_fails(size: int, data: st.DataObject) -> None:
    leaves = leaves_to(300)
    read, root = hashes_of(leaves), root_of(leaves[:size])
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, read)
    bit = data.draw(st.integers(0, 255))
    place = data.draw(st.integers(0, len(proof) - 1))
    changed = [*proof[:place], flipped(proof[place], bit), *proof[place + 1 :]]
    assert not inclusion_holds(index, size, leaves[index], changed, root)
    assert not inclusion_holds(index, size, flipped(leaves[index], bit), proof, root)
    assert not inclusion_holds(index, size, leaves[index], proof, flipped(root, bit))
    other = data.draw(st.integers(0, size - 1).filter(lambda found: found != index))
    assert not inclusion_holds(other, size, leaves[index], proof, root)
    for wrong in (proof[:-1], proof[1:], [*proof, root], proof[::-1] if proof[::-1] != proof else []):
        assert not inclusion_holds(index, size, leaves[index], wrong, root)


@given(st.integers(2, 300), st.data())
def test_any_flipped_bit_of_a_consistency_proof_fails(size: int, data: st.DataObject) -> None:
    leaves = leaves_to(300)
    old_size = data.draw(st.integers(1, size - 1))
    old_root, root = root_of(leaves[:old_size]), root_of(leaves[:size])
    proof = consistency_proof(old_size, size, hashes_of(leaves))
    bit, place = data.draw(st.integers(0, 255)), data.draw(st.integers(0, len(proof) - 1))
    changed = [*proof[:place], flipped(proof[place], bit), *proof[place + 1 :]]
    assert not consistency_holds(old_size, size, old_root, root, changed)
    assert not consistency_holds(old_size, size, flipped(old_root, bit), root, proof)
    assert not consistency_holds(old_size, size, old_root, flipped(root, bit), proof)
    for wrong in (proof[:-1], [*proof, root], [proof[0] + b"\x00", *proof[1:]]):
        assert not consistency_holds(old_size, size, old_root, root, wrong)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(index, size, hashes_of(leaves_to(3)))
    assert not inclusion_holds(index, size, leaves_to(3)[0], [], leaves_to(3)[0])


def test_a_smaller_log_extends_no_larger_one() -> None:
    with pytest.raises(ValueError, match="extends none"):
        consistency_proof(3, 2, hashes_of(leaves_to(3)))
    assert not consistency_holds(3, 2, root_of(leaves_to(3)), root_of(leaves_to(2)), [])


def test_every_log_extends_the_empty_one_without_a_proof() -> None:
    root = root_of(leaves_to(3))
    assert consistency_proof(0, 3, hashes_of(leaves_to(3))) == []
    assert consistency_holds(0, 3, EMPTY_ROOT, root, [])
    assert not consistency_holds(0, 3, root, root, [])
    assert not consistency_holds(0, 3, EMPTY_ROOT, root, [root])
    assert tree_root(0, hashes_of([])) == EMPTY_ROOT


def test_no_node_is_read_beyond_the_stored_tree_or_from_a_tile_of_another_width() -> None:
    assert {tile: len(content) for tile, content in tiles_to(65_800).items()} == {
        tile: 32 * tile.width for tile in tiles_of(65_800)
    }
    with pytest.raises(ValueError, match="no node"):
        tile_reader(300)(8, 1)
    with pytest.raises(ValueError, match="hashes"):
        TileHashes(300, lambda _: bytes(32))(0, 1)
