"""Check an exported log (a tlog-tiles folder) offline, in the memory of a few tiles, however long it is.

Every entry is hashed, every tile compared with what the entries make, and the root with the signed one. With a kept
checkpoint it also shows whether the log still begins with what that one held: nothing else finds a cut or a rewrite.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from app.evidence import checkpoint
from app.evidence.checkpoint import Checkpoint
from app.evidence.findings import DoesNotHold, Findings, Reason, examine
from app.evidence.merkle import CompactRange, leaf_hash
from app.evidence.note import MAX_NOTE_BYTES, NoteKey
from app.evidence.reading import read_file
from app.evidence.tile_folder import TileFolder
from app.evidence.tiles import WIDTH, Tile, hashes_in, tile_root


def check_log(folder: Path, keys: Collection[NoteKey], since: Path | None = None) -> Findings:
    """Check a log folder, and that it extends a checkpoint kept earlier where its file is given."""
    return examine(_checks(TileFolder(folder), keys, since))


def _checks(log: TileFolder, keys: Collection[NoteKey], since: Path | None) -> Iterator[str]:
    yield "the checkpoint is signed by the log's key"
    now = checkpoint.verified(log.checkpoint(), keys)

    kept = None
    if since is not None:
        yield "the kept checkpoint is signed by the log's key"
        kept = checkpoint.verified(read_file(since, MAX_NOTE_BYTES), keys)
        yield "the log is the same, and not shorter than it was"
        checkpoint.check_not_smaller(kept, now)

    yield f"each of the {now.size} entries has its hash in a tile, and each tile its root in the tile above"
    roots = _roots_after(log, now, {now.size} | ({kept.size} if kept else set()))

    yield "the root over all entries is the signed one"
    if roots[now.size] != now.root:
        raise DoesNotHold(Reason.ROOT_WRONG, f"the {now.size} entries do not have the root that was signed")

    if kept is not None:
        yield f"the first {kept.size} entries are those of the kept checkpoint"
        if roots[kept.size] != kept.root:
            raise DoesNotHold(Reason.FORKED, f"the first {kept.size} entries are not those that were signed for then")


def _roots_after(log: TileFolder, now: Checkpoint, sizes: Collection[int]) -> dict[int, bytes]:
    """Compare all tiles with the entries, and return the root of the tree at each of the sizes."""
    tree, above = CompactRange(), _TilesAbove(log)
    roots = {0: tree.root()}
    for tile, entries in log.entries(now.size):
        leaves = [leaf_hash(entry) for entry in entries]
        stored = log.read_tile(tile)
        _compare(tile, stored, b"".join(leaves))
        for leaf in leaves:
            tree.append(leaf)
            if tree.size in sizes:
                roots[tree.size] = tree.root()
        if tile.width == WIDTH:
            above.add(1, tile_root(stored))
    above.finish()
    return roots


class _TilesAbove:
    """Makes the tiles above level 0 anew from their roots below, and compares each with the stored one."""

    def __init__(self, log: TileFolder) -> None:
        self._log = log
        self._open: dict[int, list[bytes]] = {}
        self._complete: dict[int, int] = {}

    def add(self, level: int, root: bytes) -> None:
        """Add the root of a complete tile of the level below."""
        hashes = self._open.setdefault(level, [])
        hashes.append(root)
        if len(hashes) == WIDTH:
            made = self._check(level)
            self._complete[level] = self._complete.get(level, 0) + 1
            hashes.clear()
            self.add(level + 1, tile_root(made))

    def finish(self) -> None:
        """Compare the open tiles."""
        for level, hashes in self._open.items():
            if hashes:
                self._check(level)

    def _check(self, level: int) -> bytes:
        hashes = self._open[level]
        tile, made = Tile(level, self._complete.get(level, 0), len(hashes)), b"".join(hashes)
        _compare(tile, self._log.read_tile(tile), made)
        return made


def _compare(tile: Tile, stored: bytes, made: bytes) -> None:
    if stored == made:
        return
    pairs = zip(hashes_in(stored), hashes_in(made), strict=True)
    differing = next(place for place, (there, here) in enumerate(pairs) if there != here)
    what = f"entry {tile.index * WIDTH + differing}" if tile.level == 0 else f"hash {differing}"
    raise DoesNotHold(Reason.TILE_WRONG, f"{tile.path}: {what} does not have the hash that its content makes")
