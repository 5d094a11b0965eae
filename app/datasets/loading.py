"""A data set in memory: cached tensors if it was read on this machine before, else found, unpacked, read and cached."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from app.datasets.catalogue import find
from app.datasets.content import read_cache, read_with_torchvision, write_cache
from app.datasets.dataset_spec import DatasetSpec
from app.datasets.download import download_all
from app.datasets.locations import Archive, LooseFiles, cache_folder, cached, download_folder, locate, own_folder
from app.datasets.locations import placing_advice as advice
from app.datasets.split import split, split_digest
from app.datasets.unpacking import unpack
from app.errors import DatasetUnavailable
from app.files import storage_faults
from app.settings import Settings
from app.unlearning.data import Dataset

_STAGE = "data"
_SECONDS_BETWEEN_TRIES = 0.1
Progress = Callable[[float, str, str], None]


@dataclass(frozen=True)
class LoadedDataset:
    """A data set and what identifies its content and its split in a manifest."""

    dataset: Dataset
    data_digest: str
    split_digest: str


def _silent(fraction: float, stage: str, message: str) -> None:
    pass


def load(name: str, settings: Settings, progress: Progress = _silent) -> LoadedDataset:
    """The data set of this name; a first load may download, every later one maps the cached tensors.

    `progress` takes a fraction in 0..1, a stage and a message, and may raise to stop. Raises DatasetNotFound,
    DatasetUnavailable, DatasetCorrupted or StorageUnavailable.
    """
    return load_described(find(name), settings, progress)


def load_described(spec: DatasetSpec, settings: Settings, progress: Progress = _silent) -> LoadedDataset:
    """Load a data set as `load` does; it need not be in the catalogue."""
    path = cached(spec, settings) or _read_first(spec, settings, progress)
    content, data_digest = read_cache(spec, path)
    training_rows, calibration_rows = split(spec.name, spec.num_train)
    dataset = Dataset(
        name=spec.name,
        class_names=spec.classes,
        train_images=content.train_images,
        train_labels=content.train_labels,
        test_images=content.test_images,
        test_labels=content.test_labels,
        train_rows=torch.from_numpy(training_rows),
        calibration_rows=torch.from_numpy(calibration_rows),
    )
    return LoadedDataset(dataset, data_digest, split_digest(training_rows, calibration_rows))


def _read_first(spec: DatasetSpec, settings: Settings, progress: Progress) -> Path:
    """Read the files and cache the content, or wait for the process that does; the cache's path."""
    with _alone(spec, settings, progress):
        path = cached(spec, settings)
        if path is not None:
            return path
        found = locate(spec, settings) or _download(spec, settings, progress)
        progress(0.5, _STAGE, f"reading {spec.name}")
        with _scratch(spec, settings) as root:
            folder = root / spec.folder
            folder.mkdir(parents=True)
            unpack(spec, found, folder, lambda part, message: progress(0.5 + 0.4 * part, _STAGE, message))
            content = read_with_torchvision(spec, root)
        progress(0.9, _STAGE, f"caching {spec.name}")
        return write_cache(content, cache_folder(settings), spec.name)


def _download(spec: DatasetSpec, settings: Settings, progress: Progress) -> LooseFiles | Archive:
    where = advice(spec, settings)
    if not settings.download:
        raise DatasetUnavailable(f"The files of {spec.name} are not here, and downloads are switched off. {where}")
    folder = download_folder(spec, settings)
    download_all(spec, folder, where, lambda part, message: progress(0.5 * part, _STAGE, message))
    found = locate(spec, settings)
    if found is None:
        raise DatasetUnavailable(f"The files of {spec.name} vanished from {folder} after the download. {where}")
    return found


@contextmanager
def _alone(spec: DatasetSpec, settings: Settings, progress: Progress) -> Iterator[None]:
    """Hold the data set's lock, which the kernel releases if this process dies."""
    path = own_folder(settings) / f".{spec.name}.lock"
    with storage_faults(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        while not _lock(file.fileno()):
            progress(0.0, _STAGE, f"waiting for another process that reads {spec.name}")
            time.sleep(_SECONDS_BETWEEN_TRIES)
        yield


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _scratch(spec: DatasetSpec, settings: Settings) -> Iterator[Path]:
    """An empty folder for the unpacked files; what a process that died left in it is removed."""
    path = own_folder(settings) / f".{spec.name}.unpacked"
    with storage_faults(path):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
