"""A log folder holds as it was exported; what was changed, cut or forked is named."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from app.errors import StorageUnavailable
from app.evidence import checkpoint
from app.evidence.findings import Reason
from app.evidence.log_check import check_log
from app.evidence.merkle import (
    consistency_holds,
    consistency_proof,
    inclusion_holds,
    inclusion_proof,
    leaf_hash,
    root_of,
)
from app.evidence.tile_folder import CHECKPOINT, MAX_ENTRY_BYTES, TileFolder, TileFolderWriter, write_folder
from tests.unit.evidence.test_note import OTHER, SIGNER

KEYS = [SIGNER.key]


def entries_to(size: int) -> list[bytes]:
    return [f"entry {index}".encode() for index in range(size)]


def export(folder: Path, entries: list[bytes]) -> Path:
    """A log folder whose checkpoint is signed with the true key."""
    write_folder(folder, entries, note_of(entries))
    return folder


def note_of(entries: list[bytes]) -> bytes:
    return checkpoint.sign(len(entries), root_of([leaf_hash(entry) for entry in entries]), SIGNER)


def reason_of(folder: Path, since: Path | None = None) -> Reason | None:
    failure = check_log(folder, KEYS, since).failure
    return None if failure is None else failure.reason


def kept(path: Path, entries: list[bytes]) -> Path:
    path.write_bytes(note_of(entries))
    return path


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 600])
def test_an_exported_log_of_any_size_holds(tmp_path: Path, size: int) -> None:
    folder = export(tmp_path / "log", entries_to(size))
    assert reason_of(folder) is None
    for old_size in {0, size // 2, size}:
        assert reason_of(folder, kept(tmp_path / "old", entries_to(old_size))) is None


def test_a_log_with_a_full_tile_of_level_1_holds_in_the_memory_of_a_few_tiles(tmp_path: Path) -> None:
    writer = TileFolderWriter(tmp_path / "log")
    for index in range(65_900):
        writer.append(b"%d" % index)
    writer.finish(checkpoint.sign(writer.size, writer.root(), SIGNER))
    names = {str(path.relative_to(tmp_path / "log")) for path in (tmp_path / "log").rglob("*") if path.is_file()}
    assert {"tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1", "tile/0/257.p/108", "tile/entries/257.p/108"} <= names
    assert len(names) == 2 * 258 + 4
    tracemalloc.start()
    try:
        assert reason_of(tmp_path / "log") is None
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()


def test_proofs_are_made_from_the_folder_alone(tmp_path: Path) -> None:
    entries = entries_to(600)
    log = TileFolder(export(tmp_path / "log", entries))
    signed = checkpoint.verified(log.checkpoint(), KEYS)
    read = log.hashes(signed)
    assert inclusion_holds(300, 600, leaf_hash(entries[300]), inclusion_proof(300, 600, read), signed.root)
    old_root = root_of([leaf_hash(entry) for entry in entries[:257]])
    assert consistency_holds(257, 600, old_root, signed.root, consistency_proof(257, 600, read))


def test_every_changed_byte_of_a_tile_or_of_entries_is_found(tmp_path: Path) -> None:
    folder = export(tmp_path / "log", entries_to(300))
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKPOINT):
        content = path.read_bytes()
        for place in range(0, len(content), 97):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            assert reason_of(folder) is Reason.TILE_WRONG, (path, place)
        for changed in (content[:-1], content + b"\x00", b"", content + bytes(32)):
            path.write_bytes(changed)
            assert reason_of(folder) in (Reason.TILE_WRONG, Reason.FILE_TOO_LARGE), path
        path.unlink()
        assert reason_of(folder) is Reason.FILE_MISSING
        path.write_bytes(content)
    assert reason_of(folder) is None


def test_the_changed_entry_is_named(tmp_path: Path) -> None:
    folder = export(tmp_path / "log", entries_to(300))
    path = folder / "tile/entries/001.p/44"
    path.write_bytes(path.read_bytes().replace(b"entry 258", b"entry 2S8"))
    failure = check_log(folder, KEYS).failure
    assert failure is not None
    assert "tile/0/001.p/44: entry 258 " in failure.detail


def test_a_signed_root_of_other_entries_is_found(tmp_path: Path) -> None:
    folder = export(tmp_path / "log", entries_to(5))
    (folder / CHECKPOINT).write_bytes(note_of([*entries_to(4), b"other"]))
    assert reason_of(folder) is Reason.ROOT_WRONG


def test_a_checkpoint_of_a_foreign_key_is_found(tmp_path: Path) -> None:
    folder = export(tmp_path / "log", entries_to(5))
    assert check_log(folder, [OTHER.key]).as_json()["reason"] == "key-unknown"
    (folder / CHECKPOINT).unlink()
    assert reason_of(folder) is Reason.FILE_MISSING


def test_a_cut_log_shows_against_a_kept_checkpoint_alone(tmp_path: Path) -> None:
    cut = export(tmp_path / "cut", entries_to(40))
    assert reason_of(cut) is None
    assert reason_of(cut, kept(tmp_path / "old", entries_to(41))) is Reason.ROLLED_BACK


@pytest.mark.parametrize("rewritten", [0, 100, 299])
def test_a_rewritten_log_signed_with_the_true_key_shows_against_a_kept_checkpoint(
    tmp_path: Path, rewritten: int
) -> None:
    entries = entries_to(400)
    entries[rewritten] = b"something else"
    fork = export(tmp_path / "fork", entries)
    assert reason_of(fork) is None
    assert reason_of(fork, kept(tmp_path / "old", entries_to(300))) is Reason.FORKED
    assert reason_of(fork, kept(tmp_path / "same", entries_to(400))) is Reason.FORKED
    assert reason_of(fork, kept(tmp_path / "before", entries_to(rewritten))) is None


def test_a_kept_checkpoint_must_be_signed_and_of_this_log(tmp_path: Path) -> None:
    folder = export(tmp_path / "log", entries_to(3))
    old = kept(tmp_path / "old", entries_to(2))
    old.write_bytes(old.read_bytes().replace(b"\n2\n", b"\n1\n"))
    assert reason_of(folder, old) is Reason.SIGNATURE_WRONG
    old.write_bytes(checkpoint.sign(0, root_of([]), OTHER))
    both = [SIGNER.key, OTHER.key]
    assert check_log(folder, both, old).as_json()["reason"] == "origin-wrong"
    assert reason_of(folder, tmp_path / "nowhere") is Reason.FILE_MISSING


def test_an_existing_folder_and_a_huge_entry_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        TileFolderWriter(tmp_path)
    writer = TileFolderWriter(tmp_path / "log")
    writer.append(bytes(MAX_ENTRY_BYTES))
    with pytest.raises(ValueError, match="entry 1 has"):
        writer.append(bytes(MAX_ENTRY_BYTES + 1))
