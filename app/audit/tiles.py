"""The tiles of the log's tree as rows: written with the entry that completes them, and compared when all is verified.

A complete tile has 256 hashes and never changes (`app.evidence.tiles`). With tiles a proof reads a few rows, however long
the log is.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Select, insert, select
from sqlalchemy.orm import Session

from app.contract.audit import AuditProblem
from app.database.tables import AuditEntryRow, AuditTileRow
from app.errors import IntegrityViolation
from app.evidence.merkle import HashReader
from app.evidence.tiles import HEIGHT, WIDTH, Tile, TileHashes, completed_by, tile_root


def write_completed(session: Session, size: int) -> None:
    """Write the tiles that became complete with the last entry of a log of this size; most often there are none."""
    for tile in completed_by(size):
        row = {"level": tile.level, "number": tile.index, "hashes": _hashes(session, tile)}
        session.execute(insert(AuditTileRow), row)


def hashes_of_log(session: Session, size: int) -> HashReader:
    """Reads the hashes of the tree over the first entries, this many: complete tiles from their rows, open ones from their parts.

    What it returns raises IntegrityViolation where an entry or a tile is missing or too short.
    """

    def read_tile(tile: Tile) -> bytes:
        if tile.width < WIDTH:
            return _hashes(session, tile)
        found = session.scalar(_row(tile))
        if found is None:
            raise ValueError(f"there is no {tile.path}")
        return found

    stored = TileHashes(size, read_tile)

    def read(height: int, index: int) -> bytes:
        try:
            return stored(height, index)
        except ValueError as fault:
            raise IntegrityViolation(
                f"the audit log cannot be proven ({fault}); `forgettery audit verify` names what was changed"
            ) from fault

    return read


class TileCheck:
    """Makes the tiles of a growing log anew, and says which of the stored ones are not these."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: list[list[bytes]] = []  # by level
        self._complete: list[int] = []  # how many, by level

    def add(self, leaf: bytes) -> Iterator[AuditProblem]:
        """Add the hash of the next leaf; a problem for each tile that it completes and that is stored otherwise."""
        level, node = 0, leaf
        while True:
            if level == len(self._open):
                self._open.append([])
                self._complete.append(0)
            hashes = self._open[level]
            hashes.append(node)
            if len(hashes) < WIDTH:
                return
            made = b"".join(hashes)
            yield from self._differences(Tile(level, self._complete[level]), made)
            hashes.clear()
            self._complete[level] += 1
            level, node = level + 1, tile_root(made)

    def surplus(self) -> Iterator[AuditProblem]:
        """A problem for each stored tile that the entries do not fill."""
        columns = AuditTileRow.level, AuditTileRow.number
        for level, number in self._session.execute(select(*columns).order_by(*columns)):
            complete = self._complete[level] if 0 <= level < len(self._complete) else 0
            if not 0 <= number < complete:
                yield _problem(Tile(level, number), "is there, and the log has not enough entries to fill it")

    def _differences(self, tile: Tile, made: bytes) -> Iterator[AuditProblem]:
        stored = self._session.scalar(_row(tile))
        if stored is None:
            yield _problem(tile, "is missing")
        elif stored != made:
            yield _problem(tile, "does not hold the hashes of its entries: the tile or one of them was changed")


def _row(tile: Tile) -> Select[bytes]:
    return select(AuditTileRow.hashes).where(AuditTileRow.level == tile.level, AuditTileRow.number == tile.index)


def _hashes(session: Session, tile: Tile) -> bytes:
    """What a tile is made of: leaf hashes, or the roots of complete tiles of the level below."""
    first, last = tile.index * WIDTH, tile.index * WIDTH + tile.width - 1
    if tile.level == 0:
        of_entries = select(AuditEntryRow.leaf_hash).where(AuditEntryRow.leaf_index.between(first, last))
        return b"".join(session.scalars(of_entries.order_by(AuditEntryRow.leaf_index)))
    below = select(AuditTileRow.hashes).where(
        AuditTileRow.level == tile.level - 1, AuditTileRow.number.between(first, last)
    )
    return b"".join(tile_root(hashes) for hashes in session.scalars(below.order_by(AuditTileRow.number)))


def _problem(tile: Tile, fault: str) -> AuditProblem:
    leaves = WIDTH << (HEIGHT * tile.level)
    of_entries = f"of entries {tile.index * leaves} to {(tile.index + 1) * leaves - 1}"
    return AuditProblem(index=tile.index * leaves, column="tile", reason=f"the tile {tile.path} {of_entries} {fault}")
