"""Tiles have the places and widths that C2SP's tlog-tiles gives them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evidence.tiles import Tile, completed_by, hashes_in, tiles_of


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(1, 273, 112), "tile/1/273.p/112"),
        (Tile(2, 1000, 1), "tile/2/x001/000.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert tile.entries_path == path.replace(f"tile/{tile.level}", "tile/entries")


def test_the_specifications_tree_of_70_000_entries_has_its_tiles() -> None:
    tiles = list(tiles_of(70_000))
    assert [sum(tile.level == level and tile.width == 256 for tile in tiles) for level in range(3)] == [273, 1, 0]
    assert [tile for tile in tiles if tile.width < 256] == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]


def test_a_tree_of_256_has_a_full_tile_and_one_hash_above_it() -> None:
    assert list(tiles_of(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_of(0)) == []


@given(st.integers(1, 300) | st.sampled_from([65_535, 65_536, 65_537, 131_072]))
def test_a_tile_is_complete_with_the_leaf_that_fills_it_and_never_again(size: int) -> None:
    assert set(completed_by(size)) == {
        tile for tile in set(tiles_of(size)) - set(tiles_of(size - 1)) if tile.width == 256
    }


@pytest.mark.parametrize("length", [0, 31, 33, 257 * 32])
def test_bytes_that_are_no_tile_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="a tile has"):
        hashes_in(bytes(length))
