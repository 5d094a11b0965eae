from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.datasets.catalogue import find
from app.datasets.content import Content, read_cache, write_cache
from app.errors import DatasetCorrupted, StorageUnavailable

SPEC = replace(find("kmnist"), input_shape=(1, 2, 3), num_train=4, num_test=2)


def _content() -> Content:
    generator = torch.Generator().manual_seed(0)
    return Content(
        torch.randint(0, 256, (4, 1, 2, 3), dtype=torch.uint8, generator=generator),
        torch.tensor([0, 1, 2, 9]),
        torch.randint(0, 256, (2, 1, 2, 3), dtype=torch.uint8, generator=generator),
        torch.tensor([3, 4]),
    )


@given(st.sampled_from([field.name for field in fields(Content)]), st.data())
def test_the_digest_changes_with_any_single_value(part: str, data: st.DataObject) -> None:
    changed = getattr(_content(), part).clone()
    place = data.draw(st.integers(0, changed.numel() - 1))
    changed.view(-1)[place] ^= data.draw(st.sampled_from([1 << bit for bit in range(8)]))
    assert replace(_content(), **{part: changed}).digest != _content().digest


def test_the_digest_tells_training_from_test_and_one_shape_from_another() -> None:
    content = _content()
    swapped = Content(content.test_images, content.test_labels, content.train_images, content.train_labels)
    turned = replace(content, train_images=content.train_images.view(4, 1, 3, 2))
    assert len({content.digest, swapped.digest, turned.digest}) == 3


def test_cached_content_is_read_as_it_was_written(tmp_path: Path) -> None:
    content = _content()
    read, digest = read_cache(SPEC, write_cache(content, tmp_path, "kmnist"))
    assert digest == content.digest
    assert all(torch.equal(getattr(content, field.name), getattr(read, field.name)) for field in fields(Content))


def test_cached_content_may_be_changed_in_memory_without_changing_the_file(tmp_path: Path) -> None:
    path = write_cache(_content(), tmp_path, "kmnist")
    read, _ = read_cache(SPEC, path)
    read.train_images.zero_()
    assert read_cache(SPEC, path)[1] == _content().digest


def test_one_changed_bit_in_the_cache_is_found_and_named(tmp_path: Path) -> None:
    path = write_cache(_content(), tmp_path, "kmnist")
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DatasetCorrupted, match=rf"{path.name} is damaged.*Delete it"):
        read_cache(SPEC, path)


@pytest.mark.parametrize("size", [0, 5, 100])
def test_a_cache_cut_short_is_found_and_named(tmp_path: Path, size: int) -> None:
    path = write_cache(_content(), tmp_path, "kmnist")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DatasetCorrupted, match=rf"{path.name} is damaged"):
        read_cache(SPEC, path)


def test_a_cache_of_other_shapes_is_refused(tmp_path: Path) -> None:
    path = write_cache(_content(), tmp_path, "kmnist")
    with pytest.raises(DatasetCorrupted, match="another shape"):
        read_cache(replace(SPEC, num_train=5), path)


def test_a_label_of_no_class_is_refused(tmp_path: Path) -> None:
    path = write_cache(replace(_content(), test_labels=torch.tensor([3, 10])), tmp_path, "kmnist")
    with pytest.raises(DatasetCorrupted, match="none of its classes"):
        read_cache(SPEC, path)


def test_a_cache_that_cannot_be_written_is_a_storage_problem(tmp_path: Path) -> None:
    in_the_way = tmp_path / "cache"
    in_the_way.write_text("a file where the folder should be")
    with pytest.raises(StorageUnavailable):
        write_cache(_content(), in_the_way, "kmnist")
