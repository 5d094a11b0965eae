"""Tiles are written with the entry that completes them, serve proofs, and are compared when the log is verified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.audit import log, tiles
from app.contract.audit import AuditProblem
from app.database import migrate
from app.database.engine import Database
from app.database.tables import AuditEntryRow, AuditTileRow
from app.errors import IntegrityViolation
from app.evidence.encoding import encode_base64
from app.evidence.merkle import (
    consistency_holds,
    consistency_proof,
    inclusion_holds,
    inclusion_proof,
    leaf_hash,
    root_of,
    tree_root,
)
from app.evidence.tiles import tile_root
from app.specs.originator import Originator
from tests.unit.audit.conftest import Outsider

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def append(session: Session, count: int) -> None:
    for _ in range(count):
        log.append(
            session, "serving.moved", by=Originator("admin"), model="digits", version=1, details={"from_version": 2}
        )


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of 600 entries, appended once."""
    url = f"sqlite:///{tmp_path_factory.mktemp('log')}/log.db"
    migrate.upgrade(url)
    database = Database(url)
    with database.writing() as session:
        append(session, 600)
        rows = session.execute(select(AuditEntryRow.__table__).order_by(AuditEntryRow.leaf_index)).mappings().all()
    database.dispose()
    return [dict(row) for row in rows]


@pytest.fixture
def six_hundred(database: Database, entries: list[dict[str, Any]]) -> Database:
    """A database whose log has 600 entries: two complete tiles and an open one."""
    with database.writing() as session:
        session.execute(insert(AuditEntryRow), entries)
        for size in (256, 512):
            tiles.write_completed(session, size)
    return database


def leaves(session: Session) -> list[bytes]:
    return list(session.scalars(select(AuditEntryRow.leaf_hash).order_by(AuditEntryRow.leaf_index)))


def stored(session: Session) -> dict[tuple[int, int], bytes]:
    return {(row.level, row.number): row.hashes for row in session.scalars(select(AuditTileRow))}


def problems(database: Database) -> list[AuditProblem]:
    with database.reading() as session:
        return log.verify(session).problems


def test_a_tile_is_written_in_the_transaction_of_its_last_entry(database: Database) -> None:
    with database.writing() as session:
        append(session, 255)
        assert stored(session) == {}
        append(session, 1)
        assert stored(session) == {(0, 0): b"".join(leaves(session))}
        session.rollback()
    with database.reading() as session:
        assert stored(session) == {}


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 600])
def test_proofs_from_tiles_are_those_of_the_whole_tree(six_hundred: Database, size: int) -> None:
    with six_hundred.reading() as session:
        hashes, all_leaves = tiles.hashes_of_log(session, 600), leaves(session)
        root = tree_root(size, hashes)
        assert root == root_of(all_leaves[:size])
        for index in {0, size // 2, size - 1}:
            assert inclusion_holds(index, size, all_leaves[index], inclusion_proof(index, size, hashes), root)
        proof = consistency_proof(size, 600, hashes)
        assert consistency_holds(size, 600, root, root_of(all_leaves), proof)


@pytest.mark.parametrize(
    "gone", ["DELETE FROM audit_tile WHERE number = 1", "DELETE FROM audit_entry WHERE leaf_index = 520"]
)
def test_nothing_is_proved_of_a_log_that_lost_a_tile_or_an_entry(
    six_hundred: Database, outsider: Outsider, gone: str
) -> None:
    for table in ("audit_tile", "audit_entry"):
        outsider.drop_guards(table)
    outsider.execute(gone)
    with six_hundred.reading() as session, pytest.raises(IntegrityViolation, match="audit verify"):
        tree_root(600, tiles.hashes_of_log(session, 600))


@contextmanager
def without_guards(outsider: Outsider, table: str) -> Iterator[None]:
    outsider.drop_guards(table)
    yield


@pytest.mark.parametrize(
    ("statement", "index", "fault"),
    [
        ("UPDATE audit_tile SET hashes = :other WHERE number = 1", 256, "does not hold the hashes of its entries"),
        ("DELETE FROM audit_tile WHERE number = 1", 256, "is missing"),
        ("INSERT INTO audit_tile (level, number, hashes) VALUES (0, 2, :other)", 512, "not enough entries"),
        ("INSERT INTO audit_tile (level, number, hashes) VALUES (1, 0, :other)", 0, "not enough entries"),
    ],
)
def test_a_tile_that_was_changed_removed_or_made_up_is_named(
    six_hundred: Database, outsider: Outsider, statement: str, index: int, fault: str
) -> None:
    assert problems(six_hundred) == []
    with without_guards(outsider, "audit_tile"):
        outsider.execute(statement, **({"other": b"\x01" * 8192} if ":other" in statement else {}))
    [problem] = problems(six_hundred)
    assert (problem.index, problem.column) == (index, "tile")
    assert fault in problem.reason


def test_an_entry_that_was_written_anew_with_all_its_copies_is_told_by_its_tile(
    six_hundred: Database, outsider: Outsider
) -> None:
    """Everything in the row agrees, so that without the tile nothing would show."""
    with six_hundred.reading() as session:
        other = session.get_one(AuditEntryRow, 7)
        entry = bytes(other.entry).replace(b"digits", b"dogits")
    with without_guards(outsider, "audit_entry"):
        change = "UPDATE audit_entry SET entry = :entry, leaf_hash = :leaf_hash, model = 'dogits' WHERE leaf_index = 7"
        outsider.execute(change, entry=entry, leaf_hash=leaf_hash(entry))
    [problem] = problems(six_hundred)
    assert (problem.index, problem.column) == (0, "tile")


def test_behind_a_gap_no_tile_is_blamed(six_hundred: Database, outsider: Outsider) -> None:
    with without_guards(outsider, "audit_entry"):
        outsider.execute("DELETE FROM audit_entry WHERE leaf_index = 3")
    [problem] = problems(six_hundred)
    assert (problem.index, problem.column) == (3, "leaf_index")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_tile SET hashes = hashes",
        "DELETE FROM audit_tile",
        "INSERT INTO audit_tile (level, number, hashes) SELECT 0, 5, hashes FROM audit_tile WHERE number = 0",
        "INSERT INTO audit_tile (level, number, hashes) SELECT 1, 1, hashes FROM audit_tile WHERE number = 0",
        "UPDATE audit_checkpoint SET note = note",
        "DELETE FROM audit_checkpoint",
        "INSERT INTO audit_checkpoint (size, root, note, at) SELECT 599, root, note, at FROM audit_checkpoint",
    ],
)
def test_no_statement_changes_removes_or_skips_a_tile_or_a_checkpoint(
    six_hundred: Database, outsider: Outsider, statement: str
) -> None:
    kept = "INSERT INTO audit_checkpoint (size, root, note, at) VALUES (600, :root, :note, '2026-12-01 00:00:00')"
    with six_hundred.reading() as session:
        root = root_of(leaves(session))
    outsider.execute(kept, root=root, note=f"log\n600\n{encode_base64(root)}\n".encode())
    with pytest.raises(DBAPIError, match="append-only"):
        outsider.execute(statement)
    assert problems(six_hundred) == []


def test_an_upgrade_makes_the_tiles_of_the_entries_that_are_there(database_url: str) -> None:
    migrate.upgrade(database_url, "0001")
    _fill(database_url, 600)
    migrate.upgrade(database_url)
    assert _tiles(database_url) == {(0, 0), (0, 1)}


@pytest.mark.slow
@SQLITE
def test_an_upgrade_makes_tiles_of_tiles(database_url: str) -> None:
    migrate.upgrade(database_url, "0001")
    _fill(database_url, 65_537)
    migrate.upgrade(database_url)
    assert _tiles(database_url) == {(1, 0), *((0, number) for number in range(256))}


def _fill(url: str, count: int) -> None:
    """Append as the release did that knew no tiles."""
    database = Database(url)
    with pytest.MonkeyPatch.context() as patched, database.writing() as session:
        patched.setattr(tiles, "write_completed", lambda *_: None)
        append(session, count)
    database.dispose()


def _tiles(url: str) -> set[tuple[int, int]]:
    """The places of all tiles, after each was compared with what it is made of."""
    database = Database(url)
    with database.reading() as session:
        assert log.verify(session).ok
        found = stored(session)
    database.dispose()
    assert all(
        found[1, 0][32 * number :][:32] == tile_root(found[0, number])
        for level, number in found
        if (1, 0) in found and level == 0
    )
    return set(found)
