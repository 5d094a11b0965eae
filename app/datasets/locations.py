"""Where the files of a data set are on this machine: beside others in the data folder, downloaded, or bundled."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.datasets.dataset_spec import DatasetSpec
from app.settings import Settings

BUNDLED = Path(__file__).parent


@dataclass(frozen=True)
class LooseFiles:
    """Every file of a data set by its name, each unpacked or compressed."""

    paths: Mapping[str, Path]


@dataclass(frozen=True)
class Archive:
    """One archive that holds every file of a data set."""

    path: Path


def own_folder(settings: Settings) -> Path:
    """The folder that we write to: downloads, and the cache of what was read."""
    return settings.home / "datasets"


def cache_folder(settings: Settings) -> Path:
    """The folder of the tensors of every data set that was read on this machine."""
    return own_folder(settings) / "cache"


def download_folder(spec: DatasetSpec, settings: Settings) -> Path:
    """Where downloads of this data set go: where torchvision would put them, below our own folder."""
    return own_folder(settings) / (spec.folder if spec.archive_member is None else "")


def cached(spec: DatasetSpec, settings: Settings) -> Path | None:
    """The cached tensors of the data set, if it was read on this machine before."""
    return next(iter(sorted(cache_folder(settings).glob(f"{spec.name}-*.safetensors"))), None)


def locate(spec: DatasetSpec, settings: Settings) -> LooseFiles | Archive | None:
    """The data set's files, or None if not all are here.

    They are looked for in the data folder, then in our own, then in the package; loose files before an archive. In
    each, files may lie where torchvision keeps them or in a folder named like the data set, unpacked or with `.gz`
    after the name; an archive may also lie beside these folders.
    """
    roots = [settings.resolved_data_dir, own_folder(settings), *([BUNDLED] if spec.bundled else [])]
    folders = [root / folder for root in roots for folder in _folders(spec)]
    paths = {file.name: _first(folders, (file.name, file.name + ".gz")) for file in spec.files}
    found = {name: path for name, path in paths.items() if path is not None}
    if len(found) == len(paths):
        return LooseFiles(found)
    if spec.archive_member is None:
        return None
    archive = _first([*roots, *folders], (spec.downloads[0].name,))
    return Archive(archive) if archive else None


def placing_advice(spec: DatasetSpec, settings: Settings) -> str:
    """A sentence on which files to put where by hand."""
    if spec.archive_member is not None:
        return f"Place {spec.downloads[0].name} in {settings.resolved_data_dir}, or its unpacked files in {spec.folder} there."
    names = ", ".join(file.name + ".gz" for file in spec.files)
    return f"Place {names} (or these files unpacked) in {settings.resolved_data_dir / spec.folder}."


def _folders(spec: DatasetSpec) -> tuple[str, ...]:
    # Never the root itself: MNIST, Fashion-MNIST and Kuzushiji-MNIST name their files alike. The last is how Debian's
    # packages below /usr/share/datasets name their folders.
    return spec.folder, spec.torchvision_class, spec.name, spec.name.replace("_", "-")


def _first(folders: list[Path], names: tuple[str, ...]) -> Path | None:
    candidates = (folder / name for folder in folders for name in names)
    # Not Path.is_file: it raises where a folder may not be read.
    return next((path for path in candidates if os.path.isfile(path)), None)  # noqa: PTH113
