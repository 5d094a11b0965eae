from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidValue, StorageUnavailable, VersionCorrupted
from app.store.manifest import CARD, MANIFEST, WEIGHTS
from app.store.versions import VersionStore, verify_files


def _files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_version_is_published_whole_under_its_model_and_number(store: VersionStore, stage: Any) -> None:
    folder, sealed = stage()
    store.publish(folder, "digits", 2)
    assert _files(store.root) == {f"models/digits/2/{name}" for name in (WEIGHTS, MANIFEST, CARD)}
    assert store.read_manifest("digits", 2) == sealed
    verify_files(store.folder("digits", 2), sealed.files)


def test_nothing_is_visible_before_it_is_published(store: VersionStore, stage: Any) -> None:
    stage()
    assert not (store.root / "models").exists()


def test_an_orphan_of_the_same_number_is_replaced(store: VersionStore, stage: Any) -> None:
    folder, _ = stage("first")
    store.publish(folder, "digits", 2)
    (store.folder("digits", 2) / "leftover").write_text("of the orphan")
    folder, sealed = stage("second")
    store.publish(folder, "digits", 2)
    assert _files(store.folder("digits", 2)) == {WEIGHTS, MANIFEST, CARD}
    assert store.read_manifest("digits", 2) == sealed


def test_what_an_attempt_staged_is_discarded_and_of_others_nothing(store: VersionStore, stage: Any) -> None:
    stage("attempt-1")
    other, _ = stage("attempt-2")
    for _ in range(2):
        store.discard("attempt-1")
    assert list((store.root / "staging").iterdir()) == [other]


def test_an_attempt_that_begins_again_finds_an_empty_folder(store: VersionStore) -> None:
    (store.stage("attempt-1") / "half").write_text("of a dead process")
    assert list(store.stage("attempt-1").iterdir()) == []


@given(st.text() | st.sampled_from(["..", ".", "", "a/b", "../x", "/etc", "A", "a\n", "a\0", "-a", "a" * 64, "a\\b"]))
def test_no_name_leads_out_of_the_store(name: str) -> None:
    store = VersionStore(Path("/store"))
    if set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789._-") or name[:1] in {"", ".", "_", "-"}:
        with pytest.raises(InvalidValue):
            store.folder(name, 1)
    if set(name) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") or not name:
        with pytest.raises(InvalidValue):
            store.stage(name)


@pytest.mark.parametrize("number", [0, -1])
def test_a_version_number_below_one_is_refused(store: VersionStore, number: int) -> None:
    with pytest.raises(InvalidValue):
        store.folder("digits", number)


def test_purging_destroys_the_weights_and_keeps_the_manifest(store: VersionStore, stage: Any) -> None:
    folder, sealed = stage()
    (folder / "importance.safetensors").write_bytes(b"derived from the data")
    store.publish(folder, "digits", 2)
    store.purge_weights("digits", 2)
    assert _files(store.folder("digits", 2)) == {MANIFEST, CARD}
    assert store.read_manifest("digits", 2) == sealed


def test_purging_again_or_what_never_was_is_done_already(store: VersionStore, stage: Any) -> None:
    store.publish(stage()[0], "digits", 2)
    store.purge_weights("digits", 2)
    store.purge_weights("digits", 2)
    store.purge_weights("digits", 9)


def test_sweeping_removes_orphans_and_nothing_known_or_alive(store: VersionStore, stage: Any) -> None:
    for number in (1, 2):
        store.publish(stage()[0], "digits", number)
    alive, dead = store.stage("alive"), store.stage("dead")
    removed = store.sweep({("digits", 1)}, {"alive"}, older_than=0)
    assert sorted(removed) == sorted([dead, store.folder("digits", 2)])
    assert alive.is_dir()
    assert store.folder("digits", 1).is_dir()
    assert not dead.exists()
    assert not store.folder("digits", 2).exists()


def test_sweeping_spares_what_was_published_a_moment_ago(store: VersionStore, stage: Any) -> None:
    folder, _ = stage()
    os.utime(folder, (0, 0))
    store.publish(folder, "digits", 2)
    assert store.sweep(set(), set()) == []
    os.utime(store.folder("digits", 2), (0, 0))
    assert store.sweep(set(), set()) == [store.folder("digits", 2)]


def test_sweeping_leaves_folders_that_are_not_versions(store: VersionStore) -> None:
    foreign = store.root / "models" / "digits" / "notes"
    foreign.mkdir(parents=True)
    assert store.sweep(set(), set(), older_than=0) == []
    assert foreign.is_dir()


def test_sweeping_a_store_that_is_not_there_yet_does_nothing(store: VersionStore) -> None:
    assert store.sweep(set(), set(), older_than=0) == []


def test_many_may_sweep_at_once(store: VersionStore) -> None:
    for number in range(30):
        (store.stage(f"dead-{number}") / "part").write_text("of a dead process")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.sweep(set(), set(), older_than=0), range(8)))
    assert list((store.root / "staging").iterdir()) == []


def test_sweeping_never_follows_a_link(store: VersionStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    store.stage("alive")
    (store.root / "staging" / "link").symlink_to(outside, target_is_directory=True)
    store.sweep(set(), {"alive"}, older_than=0)
    assert (outside / "precious").read_text() == "kept"
    assert not (store.root / "staging" / "link").is_symlink()


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_one_changed_byte_is_found_and_its_file_named(store: VersionStore, stage: Any, name: str) -> None:
    folder, sealed = stage()
    store.publish(folder, "digits", 2)
    path = store.folder("digits", 2) / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(VersionCorrupted, match=rf"models/digits/2/{name} does not match its digest"):
        verify_files(path.parent, sealed.files)


def test_a_missing_file_is_named(store: VersionStore, stage: Any) -> None:
    folder, sealed = stage()
    (folder / CARD).unlink()
    with pytest.raises(VersionCorrupted, match=r"README\.md is missing"):
        verify_files(folder, sealed.files)


def test_a_file_that_is_no_file_is_named(store: VersionStore, stage: Any) -> None:
    folder, sealed = stage()
    (folder / CARD).unlink()
    (folder / CARD).mkdir()
    with pytest.raises(VersionCorrupted, match=r"README\.md is missing"):
        verify_files(folder, sealed.files)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_not_called_corrupted(store: VersionStore, stage: Any) -> None:
    folder, sealed = stage()
    (folder / CARD).chmod(0)
    with pytest.raises(StorageUnavailable, match=r"README\.md cannot be read"):
        verify_files(folder, sealed.files)


def test_a_missing_manifest_is_named(store: VersionStore) -> None:
    with pytest.raises(VersionCorrupted, match=r"models/digits/2/manifest\.json is missing"):
        store.read_manifest("digits", 2)


def test_a_store_that_cannot_be_written_is_a_storage_problem(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    store = VersionStore(tmp_path / "store")
    with pytest.raises(StorageUnavailable, match=rf"The store at {tmp_path}/store cannot be written: Not a directory"):
        store.stage("attempt-1")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_without_permission_is_a_storage_problem(store: VersionStore) -> None:
    store.root.mkdir()
    store.root.chmod(0o500)
    with pytest.raises(StorageUnavailable, match="let the server's user write there"):
        store.stage("attempt-1")


def test_a_failed_publication_shows_nothing(store: VersionStore, stage: Any) -> None:
    folder, _ = stage()
    (store.root / "models").write_text("a file where the folder should be")
    with pytest.raises(StorageUnavailable):
        store.publish(folder, "digits", 2)
    assert sorted(path.name for path in folder.iterdir()) == sorted([WEIGHTS, MANIFEST, CARD])


WRITE_UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
from app.files import write_durably
from app.errors import StorageUnavailable
from app.store.versions import VersionStore
staged = VersionStore(Path(sys.argv[1])).stage("attempt-1")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_durably(staged / "model.safetensors", bytes(200_000))
except StorageUnavailable as fault:
    print(fault.detail)
print(sorted(path.name for path in staged.iterdir()))
"""


def test_a_file_that_the_system_stops_from_growing_leaves_nothing_half_written(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WRITE_UNDER_A_LIMIT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == [
        f"The store at {tmp_path}/staging/attempt-1 cannot be written: File too large; raise the limit on the size of files.",
        "[]",
    ]
