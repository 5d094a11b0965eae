"""From the files as found, compressed or not, to checked unpacked files as torchvision wants them.

Whether a file is compressed shows in its first bytes, and whether it is the right one in its unpacked content: the
digests that torchvision knows are those of one compressed copy, and repacked copies differ from it.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import IO, cast

from app.datasets.dataset_spec import DataFile, DatasetSpec
from app.datasets.locations import Archive, LooseFiles
from app.errors import DatasetCorrupted, DatasetUnavailable
from app.files import storage_faults

_GZIP_MAGIC = b"\x1f\x8b"
_IDX_UNSIGNED_BYTE = 8
_CHUNK_BYTES = 2**20
_MAX_BYTES_OF_UNKNOWN = 2**28
"""The most bytes of a file that is no IDX file: 256 MiB; the largest one of CIFAR-100 has 155 MB."""


def unpack(
    spec: DatasetSpec, found: LooseFiles | Archive, folder: Path, progress: Callable[[float, str], None]
) -> None:
    """Write every file of the data set, unpacked and checked, into the folder.

    `progress` is told the fraction done and a message, and may raise to stop. Raises DatasetCorrupted or
    DatasetUnavailable, naming the file, or StorageUnavailable.
    """
    done = set()
    for file, stream, where in _opened(spec, found):
        with storage_faults(folder), (folder / file.name).open("wb") as output:
            for chunk in _checked(stream, file, where):
                output.write(chunk)
        done.add(file)
        progress(len(done) / len(spec.files), f"unpacking {file.name}")
    missing = [file.name for file in spec.files if file not in done]
    if missing:
        raise _corrupted(_where(found), f"it does not hold {', '.join(missing)}")


def idx_header(shape: tuple[int, ...]) -> bytes:
    """What an IDX file of unsigned bytes of this shape begins with: magic number, then each dimension big-endian."""
    return bytes([0, 0, _IDX_UNSIGNED_BYTE, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)


def _opened(spec: DatasetSpec, found: LooseFiles | Archive) -> Iterator[tuple[DataFile, IO[bytes], str]]:
    if isinstance(found, LooseFiles):
        for file in spec.files:
            where = str(found.paths[file.name])
            with _faults_of(where), found.paths[file.name].open("rb") as stream:
                yield file, stream, where
        return
    assert spec.archive_member is not None, "only data sets with an archive are found in one"
    members = {spec.archive_member.format(name=file.name): file for file in spec.files}
    with _faults_of(str(found.path)):
        for name, content in _zip_or_tar(found.path, members):
            yield members[name], content, f"{found.path}: {name}"


def _zip_or_tar(path: Path, members: dict[str, DataFile]) -> Iterator[tuple[str, IO[bytes]]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            for name in members.keys() & set(zipped.namelist()):
                with zipped.open(name) as stream:
                    yield name, stream
        return
    with tarfile.open(path, "r|*") as tarred:  # one pass: each step back would decompress from the start
        for member in tarred:
            content = tarred.extractfile(member) if member.isfile() and member.name in members else None
            if content is not None:
                yield member.name, content


def _checked(stream: IO[bytes], file: DataFile, where: str) -> Iterator[bytes]:
    """The unpacked content in pieces; raises DatasetCorrupted as soon as it cannot be the file's."""
    header = idx_header(file.shape) if file.shape else b""
    limit = len(header) + prod(file.shape) if file.shape else _MAX_BYTES_OF_UNKNOWN
    kind, _, expected = (file.digest or "sha256:").partition(":")
    digest, size = hashlib.new(kind, usedforsecurity=False), 0
    for chunk in _unpacked(stream, len(header), where):
        size += len(chunk)
        if size == len(chunk) and not chunk.startswith(header):
            raise _corrupted(where, f"it is not an IDX file of unsigned bytes of the shape {list(file.shape or ())}")
        if size > limit:
            raise _corrupted(where, f"unpacked, it is longer than {limit:,} bytes")
        digest.update(chunk)
        yield chunk
    if file.shape and size < limit:
        raise _corrupted(where, f"unpacked, it has {size:,} bytes instead of {limit:,}")
    if expected and digest.hexdigest() != expected:
        raise _corrupted(where, f"the {kind} of its unpacked content is not {expected}")


def _unpacked(stream: IO[bytes], header_bytes: int, where: str) -> Iterator[bytes]:
    """The decompressed stream in pieces; the first holds the header, or all there is."""
    with _faults_of(where):
        compressed = cast("BufferedReader", stream).peek(2)[:2] == _GZIP_MAGIC
        plain = cast("IO[bytes]", gzip.GzipFile(fileobj=stream)) if compressed else stream
        chunk = plain.read(header_bytes) + plain.read(_CHUNK_BYTES)
    while chunk:
        yield chunk
        with _faults_of(where):
            chunk = plain.read(_CHUNK_BYTES)


@contextmanager
def _faults_of(where: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile) as fault:
        raise _corrupted(where, f"it cannot be unpacked ({fault})") from fault
    except OSError as fault:
        raise DatasetUnavailable(
            f"{where} cannot be read: {fault.strerror or fault}. Let the server's user read it."
        ) from fault


def _corrupted(where: str, reason: str) -> DatasetCorrupted:
    return DatasetCorrupted(f"{where} is damaged or not what its name says: {reason}. Replace it or remove it.")


def _where(found: LooseFiles | Archive) -> str:
    return str(found.path) if isinstance(found, Archive) else ", ".join(map(str, found.paths.values()))
