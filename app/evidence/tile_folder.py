"""A log as a folder of static files, as C2SP's tlog-tiles lays it out: checkpoint, tiles, and bundles of entries.

Written and read in the memory of a few tiles, however long the log is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from app.evidence.checkpoint import Checkpoint
from app.evidence.findings import DoesNotHold, Reason
from app.evidence.merkle import HASH_BYTES, CompactRange, leaf_hash
from app.evidence.note import MAX_NOTE_BYTES
from app.evidence.reading import read_file
from app.evidence.tiles import WIDTH, Tile, TileHashes, tile_root
from app.files import storage_faults

CHECKPOINT = "checkpoint"
MAX_ENTRY_BYTES = 0xFFFF
"""The most bytes of an entry, whose length is written as two bytes, the higher first."""
_LENGTH_BYTES = 2
_MAX_BUNDLE_BYTES = WIDTH * (_LENGTH_BYTES + MAX_ENTRY_BYTES)


class TileFolderWriter:
    """Writes a new folder, entry by entry; `finish` writes what is still open, and the checkpoint last.

    A folder without a checkpoint is one whose writing did not end. Raises StorageUnavailable where the disk does not
    take it, and ValueError for an entry of more than MAX_ENTRY_BYTES.
    """

    def __init__(self, folder: Path) -> None:
        with storage_faults(folder):
            folder.mkdir(parents=True)
        self._folder = folder
        self._entries: list[bytes] = []
        self._open: list[bytearray] = []  # hashes of the open tile of each level, lowest first
        self._tree = CompactRange()

    def append(self, entry: bytes) -> None:
        """Add the next entry."""
        if len(entry) > MAX_ENTRY_BYTES:
            raise ValueError(f"entry {self._tree.size} has {len(entry)} bytes; the format takes {MAX_ENTRY_BYTES}")
        self._entries.append(entry)
        leaf = leaf_hash(entry)
        self._tree.append(leaf)
        self._add(0, leaf)
        if len(self._entries) == WIDTH:
            self._write_entries()

    @property
    def size(self) -> int:
        """Entries so far."""
        return self._tree.size

    def root(self) -> bytes:
        """The root over the entries so far."""
        return self._tree.root()

    def finish(self, checkpoint: bytes) -> None:
        """Write the open tiles and the signed checkpoint of exactly these entries."""
        if self._entries:
            self._write_entries()
        for level, hashes in enumerate(self._open):
            if hashes:
                self._write_tile(level, hashes)
        self._write(CHECKPOINT, checkpoint)

    def _add(self, level: int, node: bytes) -> None:
        if level == len(self._open):
            self._open.append(bytearray())
        hashes = self._open[level]
        hashes += node
        if len(hashes) == WIDTH * HASH_BYTES:
            self._write_tile(level, hashes)
            root = tile_root(bytes(hashes))
            hashes.clear()
            self._add(level + 1, root)

    def _write_tile(self, level: int, hashes: bytearray) -> None:
        width = len(hashes) // HASH_BYTES
        stored = self._tree.size // WIDTH**level
        self._write(Tile(level, (stored - width) // WIDTH, width).path, bytes(hashes))

    def _write_entries(self) -> None:
        place = Tile(0, (self._tree.size - len(self._entries)) // WIDTH, len(self._entries))
        bundle = b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in self._entries)
        self._write(place.entries_path, bundle)
        self._entries.clear()

    def _write(self, path: str, content: bytes) -> None:
        with storage_faults(self._folder):
            target = self._folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


class TileFolder:
    """Reads a folder. Raises DoesNotHold: `file-missing`, `file-too-large`, `tile-wrong`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def checkpoint(self) -> bytes:
        """The signed note, as it is there."""
        return read_file(self._folder / CHECKPOINT, MAX_NOTE_BYTES)

    def read_tile(self, tile: Tile) -> bytes:
        """The hashes of a tile (a `tiles.TileReader`)."""
        content = read_file(self._folder / tile.path, WIDTH * HASH_BYTES)
        if len(content) != tile.width * HASH_BYTES:
            raise DoesNotHold(Reason.TILE_WRONG, f"{tile.path} is not one of {tile.width} hashes")
        return content

    def entries(self, size: int) -> Iterator[tuple[Tile, list[bytes]]]:
        """The first `size` entries, one tile of level 0 after the other."""
        for first in range(0, size, WIDTH):
            tile = Tile(0, first // WIDTH, min(WIDTH, size - first))
            yield tile, _unbundled(tile, read_file(self._folder / tile.entries_path, _MAX_BUNDLE_BYTES))

    def hashes(self, signed: Checkpoint) -> TileHashes:
        """A hash reader for proofs of the tree of a checkpoint."""
        return TileHashes(signed.size, self.read_tile)


def write_folder(folder: Path, entries: Iterable[bytes], checkpoint: bytes) -> None:
    """Write a log and its checkpoint as a new folder."""
    writer = TileFolderWriter(folder)
    for entry in entries:
        writer.append(entry)
    writer.finish(checkpoint)


def _unbundled(tile: Tile, bundle: bytes) -> list[bytes]:
    entries, start = list[bytes](), 0
    while start < len(bundle):
        end = start + _LENGTH_BYTES + int.from_bytes(bundle[start : start + _LENGTH_BYTES], "big")
        if end > len(bundle) or start + _LENGTH_BYTES > len(bundle):
            raise DoesNotHold(Reason.TILE_WRONG, f"{tile.entries_path} ends within an entry")
        entries.append(bundle[start + _LENGTH_BYTES : end])
        start = end
    if len(entries) != tile.width:
        raise DoesNotHold(Reason.TILE_WRONG, f"{tile.entries_path} has {len(entries)} entries, not {tile.width}")
    return entries
