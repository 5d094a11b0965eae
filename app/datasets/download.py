"""Downloads with time limits, a bounded size and a check of the published digest; nothing unchecked gets its name."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import httpx

from app.datasets.dataset_spec import DatasetSpec, Download
from app.errors import DatasetUnavailable
from app.files import storage_faults, sync_file, sync_folder

_TIMEOUT = httpx.Timeout(15.0, connect=3.0)
_CHECK_TIMEOUT = httpx.Timeout(3.0)
_CHECK_SECONDS = 5.0
_AS_IS = {"Accept-Encoding": "identity"}
_CHUNK_BYTES = 2**18


def check_mirrors(spec: DatasetSpec, advice: str) -> None:
    """Raise DatasetUnavailable, ending in the advice, unless the mirror offers the first download; within 5 seconds."""
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    url = spec.downloads[0].url
    # A thread of its own, because no timeout bounds the resolver of host names.
    threading.Thread(target=lambda: answers.put(_refusal(url)), daemon=True).start()
    try:
        refusal = answers.get(timeout=_CHECK_SECONDS)
    except queue.Empty:
        refusal = f"no answer within {_CHECK_SECONDS:g} seconds"
    if refusal:
        raise _unavailable(spec, url, refusal, advice)


def download_all(spec: DatasetSpec, folder: Path, advice: str, progress: Callable[[float, str], None]) -> None:
    """Download what is not in the folder yet, one process at a time; `progress` is told the fraction done and the file, and may raise to stop.

    Raises DatasetUnavailable, ending in the advice, or StorageUnavailable; finished files stay for the next try.
    """
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    missing = [download for download in spec.downloads if not (folder / download.name).is_file()]
    expected = sum(download.max_bytes for download in missing)
    done = 0

    def received(count: int) -> None:
        nonlocal done
        done += count
        progress(min(done / expected, 1.0), f"downloading {spec.name}")

    for download in missing:
        try:
            _download(download, folder, received)
        except (httpx.HTTPError, _Refused) as fault:
            raise _unavailable(spec, download.url, str(fault) or type(fault).__name__, advice) from fault


class _Refused(Exception):
    """What the mirror sends is not what was published."""


def _download(download: Download, folder: Path, received: Callable[[int], None]) -> None:
    partial = folder / f".{download.name}.partial"
    with storage_faults(folder):
        _stream(download, partial, received)
        sync_file(partial)
        partial.rename(folder / download.name)
        sync_folder(folder)


def _stream(download: Download, path: Path, received: Callable[[int], None]) -> None:
    digest, size = hashlib.md5(usedforsecurity=False), 0
    with (
        path.open("wb") as file,
        httpx.stream("GET", download.url, headers=_AS_IS, timeout=_TIMEOUT, follow_redirects=True) as response,
    ):
        response.raise_for_status()
        for chunk in response.iter_raw(_CHUNK_BYTES):
            size += len(chunk)
            if size > download.max_bytes:
                raise _Refused(f"more than the {download.max_bytes:,} bytes it may have")
            digest.update(chunk)
            file.write(chunk)
            received(len(chunk))
    if digest.hexdigest() != download.md5:
        raise _Refused("its MD5 is not the published one")


def _refusal(url: str) -> str | None:
    try:
        with httpx.stream("GET", url, timeout=_CHECK_TIMEOUT, follow_redirects=True) as response:
            return None if response.is_success else f"status {response.status_code}"
    except httpx.HTTPError as fault:
        return str(fault) or type(fault).__name__


def _unavailable(spec: DatasetSpec, url: str, reason: str, advice: str) -> DatasetUnavailable:
    return DatasetUnavailable(f"The files of {spec.name} are not here, and {url} gives none ({reason}). {advice}")
