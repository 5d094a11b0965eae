from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pytest
from torchvision import datasets

from app.datasets.catalogue import CATALOGUE, ensure_obtainable, find, is_available
from app.datasets.loading import load_described
from app.errors import DatasetNotFound, DatasetUnavailable
from app.settings import Settings

IDX = ["mnist", "fashion_mnist", "kmnist"]
CIFAR = ["cifar10", "cifar100"]


def test_the_six_data_sets_are_described() -> None:
    assert list(CATALOGUE) == ["mnist", "fashion_mnist", "kmnist", "emnist_digits", "cifar10", "cifar100"]


@pytest.mark.parametrize("name", CATALOGUE)
def test_images_and_labels_are_described_in_the_same_numbers(name: str) -> None:
    spec = find(name)
    assert len(set(spec.classes)) == len(spec.classes)
    shapes = [file.shape for file in spec.files if file.shape is not None]
    rows = {shape[0] for shape in shapes}
    assert not shapes or rows == {spec.num_train, spec.num_test}
    assert all(prod(shape[1:]) in {1, prod(spec.input_shape)} for shape in shapes)


@pytest.mark.parametrize("name", IDX)
def test_files_classes_and_mirrors_of_idx_sets_are_those_of_torchvision(name: str) -> None:
    spec = find(name)
    kind: Any = getattr(datasets, spec.torchvision_class)
    assert [(download.name, download.md5) for download in spec.downloads] == kind.resources
    assert all(download.url == kind.mirrors[0] + download.name for download in spec.downloads)
    if name != "mnist":
        assert list(spec.classes) == kind.classes


@pytest.mark.parametrize("name", CIFAR)
def test_files_and_mirrors_of_cifar_are_those_of_torchvision(name: str) -> None:
    spec = find(name)
    kind: Any = getattr(datasets, spec.torchvision_class)
    known = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
    assert [[file.name, (file.digest or "").removeprefix("md5:")] for file in spec.files] == known
    [download] = spec.downloads
    assert (download.name, download.url, download.md5) == (kind.filename, kind.url, kind.tgz_md5)
    assert spec.folder == kind.base_folder


def test_the_mirror_of_emnist_is_that_of_torchvision() -> None:
    [download] = find("emnist_digits").downloads
    assert (download.url, download.md5) == (datasets.EMNIST.url, datasets.EMNIST.md5)


def test_an_unknown_data_set_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(DatasetNotFound, match=r"'mnits'; there are mnist, fashion_mnist"):
        find("mnits")


def test_mnist_is_available_without_any_file_of_the_users(settings: Settings) -> None:
    assert is_available(find("mnist"), settings)
    ensure_obtainable(find("mnist"), settings)


def test_a_data_set_without_files_is_not_available_and_says_what_to_place_where(settings: Settings) -> None:
    assert not is_available(find("kmnist"), settings)
    with pytest.raises(DatasetUnavailable) as caught:
        ensure_obtainable(find("kmnist"), settings)
    assert "train-images-idx3-ubyte.gz" in caught.value.detail
    assert str(settings.resolved_data_dir / "KMNIST" / "raw") in caught.value.detail


@pytest.mark.parametrize("name", ["emnist_digits", *CIFAR])
def test_a_missing_archive_is_named_with_the_folder_to_place_it_in(settings: Settings, name: str) -> None:
    spec = find(name)
    with pytest.raises(DatasetUnavailable) as caught:
        ensure_obtainable(spec, settings)
    assert f"Place {spec.downloads[0].name} in {settings.resolved_data_dir}" in caught.value.detail


def test_a_data_set_once_read_is_available_without_its_files(settings: Settings, tiny: Any, tmp_path: Path) -> None:
    folder = tiny.place(settings.resolved_data_dir / "KMNIST")
    load_described(tiny.spec, settings)
    for path in folder.iterdir():
        path.unlink()
    assert is_available(tiny.spec, settings)


def test_a_mirror_that_cannot_be_reached_is_a_clear_problem(settings: Settings) -> None:
    [archive] = find("cifar10").downloads
    spec = replace(find("cifar10"), downloads=(replace(archive, url="http://127.0.0.1:9/cifar.tar.gz"),))
    with pytest.raises(DatasetUnavailable, match=r"http://127.0.0.1:9/cifar.tar.gz gives none .* Place "):
        ensure_obtainable(spec, settings.model_copy(update={"download": True}))


def test_neither_catalogue_nor_version_store_imports_torch() -> None:
    script = (
        "import json, sys, app.datasets.catalogue, app.store.versions, app.store.model_card;"
        "print(json.dumps([name for name in ('torch', 'torchvision', 'safetensors') if name in sys.modules]))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == []
