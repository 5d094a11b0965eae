from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.files import remove


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    (made / "within").mkdir(parents=True)
    (made / "within" / "file").write_text("content")
    return made


def test_a_folder_is_removed_with_all_that_is_in_it(folder: Path) -> None:
    remove(folder)
    assert not folder.exists()


def test_of_a_link_the_link_alone_is_removed(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    remove(link)
    assert not link.is_symlink()
    assert (folder / "within" / "file").read_text() == "content"


def test_what_another_process_removed_is_removed(tmp_path: Path) -> None:
    remove(tmp_path / "nothing")


def test_a_folder_whose_content_another_process_removes_meanwhile_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = os.unlink

    def unlink_second(path: str, *, dir_fd: int | None = None) -> None:
        unlink(path, dir_fd=dir_fd)  # as another process does, just before
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink_second)
    remove(folder)
    assert not folder.exists()
