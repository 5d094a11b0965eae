from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import multiprocessing
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from app.datasets.catalogue import find
from app.datasets.dataset_spec import DatasetSpec
from app.datasets.loading import LoadedDataset, load, load_described
from app.errors import DatasetCorrupted, DatasetNotFound, DatasetUnavailable, StorageUnavailable
from app.settings import Settings
from tests.waiting import HANGS_AFTER

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture(scope="session")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> LoadedDataset:
    return load("mnist", Settings(home=tmp_path_factory.mktemp("home"), download=False))


def test_the_bundled_mnist_is_read_whole(mnist: LoadedDataset) -> None:
    data = mnist.dataset
    assert data.train_images.shape == (60_000, 1, 28, 28)
    assert data.test_images.shape == (10_000, 1, 28, 28)
    assert len(data.calibration_rows) == 5_000
    assert data.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.class_names == tuple("0123456789")


def test_the_digest_of_mnist_is_that_of_every_release_before(mnist: LoadedDataset) -> None:
    assert mnist.data_digest == "sha256:46fa6dbf3db721c0a4e58a574484c28440b4ea2ed75750a089bff8e3950df2c3"


@pytest.mark.parametrize("folder", ["KMNIST/raw", "KMNIST", "kmnist"])
@pytest.mark.parametrize("packed", [False, True], ids=["unpacked", "packed"])
def test_files_are_found_in_the_data_folder(settings: Settings, tiny: Any, folder: str, packed: bool) -> None:  # noqa: FBT001
    tiny.place(settings.resolved_data_dir / folder, packed=packed)
    data = load_described(tiny.spec, settings).dataset
    pixels = np.frombuffer(tiny.contents[IMAGES][16:], dtype=np.uint8).reshape(24, 1, 4, 5)
    assert np.array_equal(data.train_images.numpy(), pixels)
    assert data.train_labels.tolist() == list(tiny.contents[LABELS][8:])


def test_files_beside_the_named_folders_are_not_taken_for_those_of_any_data_set(settings: Settings, tiny: Any) -> None:
    tiny.place(settings.resolved_data_dir)
    with pytest.raises(DatasetUnavailable):
        load_described(tiny.spec, settings)


def test_the_folder_name_of_a_system_package_is_known(settings: Settings, shrunk: Callable[[str], Any]) -> None:
    tiny = shrunk("fashion_mnist")
    tiny.place(settings.resolved_data_dir / "fashion-mnist", packed=True)
    assert len(load_described(tiny.spec, settings).dataset.train_images) == 24


def test_files_in_the_data_folder_come_before_those_in_the_home(settings: Settings, tiny: Any) -> None:
    (tiny.place(settings.home / "datasets/KMNIST") / LABELS).write_bytes(b"damaged")
    tiny.place(settings.resolved_data_dir / "KMNIST")
    assert len(load_described(tiny.spec, settings).dataset.train_images) == 24


def test_whether_a_file_is_compressed_shows_in_its_content_not_in_its_name(settings: Settings, tiny: Any) -> None:
    folder = tiny.place(settings.resolved_data_dir / "KMNIST")
    (folder / IMAGES).rename(folder / f"{IMAGES}.gz")
    (folder / LABELS).write_bytes(gzip.compress(tiny.contents[LABELS]))
    assert len(load_described(tiny.spec, settings).dataset.train_images) == 24


def test_a_data_folder_in_which_nothing_may_be_written_is_enough(settings: Settings, tiny: Any) -> None:
    before = set(tiny.place(settings.resolved_data_dir / "KMNIST/raw", packed=True).rglob("*"))
    load_described(tiny.spec, settings)
    assert set((settings.resolved_data_dir / "KMNIST/raw").rglob("*")) == before
    assert {path.name for path in settings.resolved_data_dir.iterdir()} == {"KMNIST"}


def test_nothing_but_cache_and_lock_is_left_in_the_home(settings: Settings, tiny: Any) -> None:
    tiny.place(settings.resolved_data_dir / "KMNIST")
    load_described(tiny.spec, settings)
    assert sorted(path.name for path in (settings.home / "datasets").iterdir()) == [".kmnist.lock", "cache"]


def test_what_a_killed_process_left_behind_does_no_harm(settings: Settings, tiny: Any) -> None:
    tiny.place(settings.resolved_data_dir / "KMNIST")
    leftover = settings.home / "datasets/.kmnist.unpacked/KMNIST/raw"
    leftover.mkdir(parents=True)
    (leftover / IMAGES).write_bytes(b"half")
    (settings.home / "datasets/cache").mkdir()
    (settings.home / "datasets/cache/.kmnist.partial").write_bytes(b"half")
    assert len(load_described(tiny.spec, settings).dataset.train_images) == 24
    assert not leftover.exists()


def test_a_second_load_has_the_same_digests_and_reads_no_file_again(settings: Settings, tiny: Any) -> None:
    folder = tiny.place(settings.resolved_data_dir / "KMNIST")
    first = load_described(tiny.spec, settings)
    (folder / IMAGES).write_bytes(b"no longer looked at")
    second = load_described(tiny.spec, settings)
    assert (first.data_digest, first.split_digest) == (second.data_digest, second.split_digest)


def test_emnist_is_turned_upright(settings: Settings, shrunk: Callable[[str], Any]) -> None:
    tiny = shrunk("emnist_digits")
    tiny.place(settings.resolved_data_dir / "EMNIST/raw", packed=True)
    images = load_described(tiny.spec, settings).dataset.train_images
    stored = np.frombuffer(tiny.contents["emnist-digits-train-images-idx3-ubyte"][16:], dtype=np.uint8)
    assert np.array_equal(images[:, 0].numpy(), stored.reshape(24, 4, 5).transpose(0, 2, 1))


def test_emnist_is_read_from_its_archive(settings: Settings, shrunk: Callable[[str], Any]) -> None:
    tiny = shrunk("emnist_digits")
    settings.resolved_data_dir.mkdir()
    with zipfile.ZipFile(settings.resolved_data_dir / "gzip.zip", "w") as archive:
        for name, content in tiny.contents.items():
            archive.writestr(f"gzip/{name}.gz", gzip.compress(content))
        archive.writestr("gzip/emnist-letters-test-labels-idx1-ubyte.gz", b"not looked at")
    assert load_described(tiny.spec, settings).dataset.test_labels.shape == (12,)


@pytest.fixture
def cifar(monkeypatch: pytest.MonkeyPatch) -> tuple[DatasetSpec, dict[str, bytes]]:
    """CIFAR-100 of 24 and 12 rows; torchvision is told the digests of these files instead of the real ones."""
    generator = np.random.default_rng(0)
    contents = {"meta": pickle.dumps({"fine_label_names": list(find("cifar100").classes)})}
    for name, rows in (("train", 24), ("test", 12)):
        pixels = generator.integers(0, 256, (rows, 3072), dtype=np.uint8)
        contents[name] = pickle.dumps({"data": pixels, "fine_labels": list(range(rows))})
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(datasets.CIFAR100, "train_list", [["train", md5["train"]]])
    monkeypatch.setattr(datasets.CIFAR100, "test_list", [["test", md5["test"]]])
    monkeypatch.setattr(datasets.CIFAR100, "meta", datasets.CIFAR100.meta | {"md5": md5["meta"]})
    files = tuple(replace(file, digest=f"md5:{md5[file.name]}") for file in find("cifar100").files)
    return replace(find("cifar100"), num_train=24, num_test=12, files=files), contents


def _tar(path: Path, contents: dict[str, bytes], *, packed: bool = True) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"cifar-100-python/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(buffer.getvalue()) if packed else buffer.getvalue())


@pytest.mark.parametrize("packed", [False, True], ids=["unpacked", "packed"])
def test_cifar_is_read_from_its_archive(settings: Settings, cifar: Any, packed: bool) -> None:  # noqa: FBT001
    spec, contents = cifar
    _tar(settings.resolved_data_dir / "cifar-100-python.tar.gz", contents, packed=packed)
    data = load_described(spec, settings).dataset
    assert data.train_images.shape == (24, 3, 32, 32)
    assert np.array_equal(data.train_images.flatten(1).numpy(), pickle.loads(contents["train"])["data"])
    assert data.test_labels.tolist() == list(range(12))


def test_cifar_is_read_from_its_unpacked_folder(settings: Settings, cifar: Any) -> None:
    spec, contents = cifar
    folder = settings.resolved_data_dir / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    assert len(load_described(spec, settings).dataset.test_images) == 12


def test_a_pickle_that_is_not_the_published_one_is_never_opened(settings: Settings, cifar: Any) -> None:
    spec, contents = cifar
    trap = b"cos\nmkdir\n(S'" + str(settings.home / "trapped").encode() + b"'\ntR."
    _tar(settings.resolved_data_dir / "cifar-100-python.tar.gz", contents | {"train": trap})
    with pytest.raises(DatasetCorrupted, match=r"cifar-100-python/train .*md5"):
        load_described(spec, settings)
    assert not (settings.home / "trapped").exists()


def test_an_archive_that_lacks_a_file_is_named_with_it(settings: Settings, cifar: Any) -> None:
    spec, contents = cifar
    _tar(settings.resolved_data_dir / "cifar-100-python.tar.gz", {"train": contents["train"]})
    with pytest.raises(DatasetCorrupted, match=r"tar\.gz .*it does not hold test, meta"):
        load_described(spec, settings)


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_an_archive_cut_short_is_named(settings: Settings, cifar: Any, share: float) -> None:
    spec, contents = cifar
    path = settings.resolved_data_dir / "cifar-100-python.tar.gz"
    _tar(path, contents)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DatasetCorrupted, match=r"cifar-100-python\.tar\.gz"):
        load_described(spec, settings)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-1], "bytes instead of"),
        (lambda content: content[:3], "not an IDX file"),
        (lambda _content: b"", "has 0 bytes"),
        (lambda _content: b"<html>not here</html>", "not an IDX file"),
        (lambda content: content + b"\0", "longer than"),
        (lambda content: content[:7] + b"\x17" + content[8:], "not an IDX file"),
        (lambda content: gzip.compress(content)[:-9], "cannot be unpacked"),
        (lambda content: gzip.compress(content)[:-8] + bytes(8), "cannot be unpacked"),
        (lambda _content: gzip.compress(bytes(2**22)), "not an IDX file"),
        (lambda content: gzip.compress(content + bytes(2**26)), "longer than"),
    ],
    ids=[
        "a byte short",
        "cut",
        "empty",
        "a web page",
        "a byte long",
        "other rows",
        "cut gz",
        "bad gz",
        "zeros",
        "bomb",
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(
    settings: Settings, tiny: Any, damage: Callable[[bytes], bytes], reason: str
) -> None:
    path = tiny.place(settings.resolved_data_dir / "KMNIST/raw") / IMAGES
    path.write_bytes(damage(tiny.contents[IMAGES]))
    with pytest.raises(DatasetCorrupted, match=rf"{path} is damaged.*{reason}"):
        load_described(tiny.spec, settings)
    assert not list((settings.home / "datasets").rglob("*.safetensors"))


def test_a_file_of_another_data_set_of_the_same_form_is_noticed_where_its_digest_is_known(
    settings: Settings, tiny: Any
) -> None:
    files = (replace(tiny.spec.files[0], digest=f"sha256:{'0' * 64}"), *tiny.spec.files[1:])
    tiny.place(settings.resolved_data_dir / "KMNIST")
    with pytest.raises(DatasetCorrupted, match="sha256 of its unpacked content is not 0000"):
        load_described(replace(tiny.spec, files=files), settings)


def test_a_label_of_no_class_is_refused(settings: Settings, tiny: Any) -> None:
    path = tiny.place(settings.resolved_data_dir / "KMNIST") / LABELS
    path.write_bytes(tiny.contents[LABELS][:-1] + b"\x0a")
    with pytest.raises(DatasetCorrupted, match="none of its classes"):
        load_described(tiny.spec, settings)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_unavailable_and_named(settings: Settings, tiny: Any) -> None:
    path = tiny.place(settings.resolved_data_dir / "KMNIST") / IMAGES
    path.chmod(0)
    with pytest.raises(DatasetUnavailable, match=rf"{path} cannot be read"):
        load_described(tiny.spec, settings)


def test_missing_files_with_downloads_switched_off_are_unavailable(settings: Settings) -> None:
    with pytest.raises(DatasetUnavailable, match=r"switched off\. Place train-images-idx3-ubyte\.gz"):
        load("fashion_mnist", settings)


def test_an_unknown_name_is_not_found(settings: Settings) -> None:
    with pytest.raises(DatasetNotFound):
        load("../mnist", settings)


def test_a_home_that_cannot_be_written_is_a_storage_problem(tmp_path: Path, tiny: Any) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(StorageUnavailable, match="cannot be written"):
        load_described(tiny.spec, Settings(home=tmp_path / "home", download=False))


def test_progress_rises_and_may_stop_the_load(settings: Settings, tiny: Any) -> None:
    told: list[float] = []

    def stop(fraction: float, _stage: str, _message: str) -> None:
        told.append(fraction)
        if fraction > 0.6:
            raise KeyboardInterrupt

    tiny.place(settings.resolved_data_dir / "KMNIST")
    with pytest.raises(KeyboardInterrupt):
        load_described(tiny.spec, settings, stop)
    assert told == sorted(told)
    assert not list((settings.home / "datasets").rglob("*.safetensors"))


def test_a_load_that_waits_for_another_process_says_so_and_may_be_stopped(settings: Settings, tiny: Any) -> None:
    def stop(_fraction: float, _stage: str, message: str) -> None:
        assert message == "waiting for another process that reads kmnist"
        raise KeyboardInterrupt

    tiny.place(settings.resolved_data_dir / "KMNIST")
    (settings.home / "datasets").mkdir(parents=True)
    with (settings.home / "datasets/.kmnist.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(KeyboardInterrupt):
            load_described(tiny.spec, settings, stop)
    assert len(load_described(tiny.spec, settings).dataset.train_images) == 24


def _load_in_a_process(spec: DatasetSpec, settings: Settings, ready: Any, answers: Any) -> None:
    ready.wait()
    loaded = load_described(spec, settings)
    answers.put((os.getpid(), loaded.data_digest, loaded.split_digest, int(loaded.dataset.train_images.sum())))


def test_processes_that_load_for_the_first_time_at_once_agree(settings: Settings, tiny: Any) -> None:
    tiny.place(settings.resolved_data_dir / "KMNIST", packed=True)
    # Forked, to save importing torch three times; on tensors this small it starts no threads that a fork would lose.
    context = multiprocessing.get_context("fork")
    ready, answers = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_load_in_a_process, args=(tiny.spec, settings, ready, answers)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    found = [answers.get(timeout=HANGS_AFTER) for _ in processes]
    for process in processes:
        process.join()
    assert len({answer[0] for answer in found}) == 3
    assert len({answer[1:] for answer in found}) == 1
    assert len(list((settings.home / "datasets/cache").iterdir())) == 1


def test_tensors_have_the_types_that_networks_take(mnist: LoadedDataset) -> None:
    assert mnist.dataset.train_images.dtype == mnist.dataset.test_images.dtype == torch.uint8
    assert mnist.dataset.train_labels.dtype == mnist.dataset.calibration_rows.dtype == torch.int64
