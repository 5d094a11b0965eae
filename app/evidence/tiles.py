"""Where the hashes of a tree are kept: tiles of 256 hashes, as C2SP's tlog-tiles lays them out (c2sp.org/tlog-tiles).

Tile n of level l holds 256 neighbouring tree hashes at height 8 * l: at level 0 the leaf hashes, above it the roots of
complete tiles of the level below. A complete tile never changes. Only the last tile of each level may be open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from app.evidence.merkle import HASH_BYTES, root_of

WIDTH = 256
HEIGHT = 8
"""Levels of the tree between a tile's hashes and its root: 2**HEIGHT = WIDTH."""
_CACHED_TILES = 64
"""Tiles kept in memory, more than a proof reads: at most one tile per level on each of its two paths."""


@dataclass(frozen=True)
class Tile:
    """The place of a tile and its width, 1 to 256 hashes."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The tile's path in a log folder, such as `tile/0/x001/234.p/17`."""
        return f"tile/{self.level}/{_numbered(self.index, self.width)}"

    @property
    def entries_path(self) -> str:
        """The path of the entries whose leaf hashes a tile of level 0 holds."""
        return f"tile/entries/{_numbered(self.index, self.width)}"


TileReader = Callable[[Tile], bytes]
"""The hashes of a tile, one after the other. A tile of width 256 is complete; a narrower one is the open tile on the
right edge."""


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of a tree of this size, level by level; the last of a level may be open, and none is empty."""
    level, hashes = 0, size
    while hashes:
        for index in range(hashes // WIDTH):
            yield Tile(level, index)
        if hashes % WIDTH:
            yield Tile(level, hashes // WIDTH, hashes % WIDTH)
        level, hashes = level + 1, hashes // WIDTH


def completed_by(size: int) -> Iterator[Tile]:
    """The tiles that became complete with the last leaf of a tree of this size, lowest first; most often none."""
    level, hashes = 0, size
    while hashes and hashes % WIDTH == 0:
        yield Tile(level, hashes // WIDTH - 1)
        level, hashes = level + 1, hashes // WIDTH


def hashes_in(tile: bytes) -> list[bytes]:
    """The hashes of a tile; raises ValueError where the length is not that of 1 to 256 hashes."""
    if not 0 < len(tile) <= WIDTH * HASH_BYTES or len(tile) % HASH_BYTES:
        raise ValueError(f"a tile has 1 to {WIDTH} hashes of {HASH_BYTES} bytes, not {len(tile)} bytes")
    return [tile[start : start + HASH_BYTES] for start in range(0, len(tile), HASH_BYTES)]


def tile_root(tile: bytes) -> bytes:
    """The root of a complete tile, which is one hash of the level above."""
    return root_of(hashes_in(tile))


class TileHashes:
    """A hash reader (`merkle.HashReader`) over the tiles of a stored tree; serves proofs of it and of any older size.

    Raises ValueError for a node that the stored tree does not have, or a tile that is not as wide as it must be.
    """

    def __init__(self, size: int, read_tile: TileReader) -> None:
        self._size = size
        self._tile = lru_cache(_CACHED_TILES)(lambda tile: _of_width(tile, read_tile(tile)))

    def __call__(self, height: int, index: int) -> bytes:
        """The root of the perfect subtree over 2**height leaves."""
        if (index + 1) << height > self._size:
            raise ValueError(f"a tree of {self._size} leaves has no node {index} at height {height}")
        level, above = divmod(height, HEIGHT)
        first, count = index << above, 1 << above
        tile_index, offset = divmod(first, WIDTH)
        stored = self._size >> (HEIGHT * level)
        hashes = self._tile(Tile(level, tile_index, min(WIDTH, stored - tile_index * WIDTH)))
        return root_of(hashes[offset : offset + count])


def _of_width(tile: Tile, stored: bytes) -> list[bytes]:
    hashes = hashes_in(stored)
    if len(hashes) != tile.width:
        raise ValueError(f"{tile.path} has {len(hashes)} hashes")
    return hashes


def _numbered(index: int, width: int) -> str:
    """An index as path elements of three digits, all but the last behind an x, so that no file is a folder's name."""
    elements = [f"{index % 1000:03d}"]
    while index := index // 1000:
        elements.append(f"x{index % 1000:03d}")
    return "/".join(reversed(elements)) + ("" if width == WIDTH else f".p/{width}")
