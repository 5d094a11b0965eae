from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from app.store import observations
from app.store.observations import MOST_FILES, Observations

TENSORS = {"logits": torch.arange(6.0).reshape(2, 3), "hits": torch.tensor([True, False])}


@pytest.fixture
def kept(tmp_path: Path) -> Observations:
    return Observations(tmp_path / "observations" / "digits" / "1")


def only_file(kept: Observations) -> Path:
    (path,) = kept.folder.iterdir()
    return path


def test_what_is_kept_comes_back_and_nobody_but_the_owner_reads_it(kept: Observations) -> None:
    assert kept.read("a") is None
    mask = os.umask(0)
    try:
        kept.write("a", TENSORS)
    finally:
        os.umask(mask)
    found = kept.read("a")
    assert found is not None
    assert all(torch.equal(found[name], values) for name, values in TENSORS.items())
    assert found.keys() == TENSORS.keys()
    assert kept.read("b") is None
    assert only_file(kept).stat().st_mode & 0o777 == 0o600
    assert kept.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damage", ["torn", "altered", "emptied"])
def test_a_damaged_file_is_removed_and_gives_nothing(kept: Observations, damage: str) -> None:
    kept.write("a", TENSORS)
    path = only_file(kept)
    content = path.read_bytes()
    damaged = {"torn": content[:-3], "altered": content[:-1] + bytes([content[-1] ^ 1]), "emptied": b""}
    path.write_bytes(damaged[damage])
    assert kept.read("a") is None
    assert not path.exists()
    kept.write("a", TENSORS)
    assert kept.read("a") is not None


def test_the_oldest_make_room(kept: Observations) -> None:
    for number in range(MOST_FILES + 2):
        kept.write(f"key{number}", TENSORS)
        for path in kept.folder.glob(f"key{number}.*"):
            os.utime(path, (number, number))
    assert len(list(kept.folder.iterdir())) == MOST_FILES
    assert kept.read("key0") is None
    assert kept.read("key1") is None
    assert kept.read(f"key{MOST_FILES + 1}") is not None


def test_what_is_too_large_is_not_kept(kept: Observations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observations, "MOST_BYTES", 100)
    kept.write("a", TENSORS)
    assert not kept.folder.exists()


def test_a_disk_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "observations").write_text("in the way")
    kept = Observations(tmp_path / "observations" / "digits" / "1")
    kept.write("a", TENSORS)
    assert kept.read("a") is None
