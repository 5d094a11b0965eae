"""A folder is the certified one only if each file is as it was and there is no other."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.evidence.findings import DoesNotHold, Reason
from app.evidence.model_check import check_files, subjects_of
from tests.unit.evidence.certificates import write_model


def flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def replace_by_a_link(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "elsewhere")
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere")


def replace_by_a_pipe(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


CHANGES: dict[str, tuple[Callable[[Path], object], Reason]] = {
    "a flipped bit": (flip, Reason.SUBJECT_CHANGED),
    "a removed file": (lambda folder: (folder / "manifest.json").unlink(), Reason.SUBJECT_MISSING),
    "a renamed file": (lambda folder: (folder / "manifest.json").rename(folder / "b"), Reason.SUBJECT_MISSING),
    "an added file": (lambda folder: (folder / "extra").touch(), Reason.FILE_NOT_A_SUBJECT),
    "an added hidden file": (lambda folder: (folder / ".gitignore").touch(), Reason.FILE_NOT_A_SUBJECT),
    "an added empty folder": (lambda folder: (folder / "empty").mkdir(), Reason.FILE_NOT_A_SUBJECT),
    "a link to the same bytes": (replace_by_a_link, Reason.FILE_MISSING),
    "a pipe": (replace_by_a_pipe, Reason.FILE_MISSING),
}


def test_an_unchanged_folder_holds(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", "weights")
    check_files(model, subjects_of(model))


@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES)
def test_every_change_is_named(tmp_path: Path, change: Callable[[Path], object], reason: Reason) -> None:
    model = write_model(tmp_path / "model", "weights")
    subjects = subjects_of(model)
    change(model)
    with pytest.raises(DoesNotHold) as refused:
        check_files(model, subjects)
    assert refused.value.reason is reason


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DoesNotHold) as refused:
        subjects_of(tmp_path / "nowhere")
    assert refused.value.reason is Reason.FILE_MISSING
