"""What models were seen to do, on disk, as `{key}.{digest}.safetensors`.

Nothing depends on a file: one that is missing, torn or altered is measured anew, so faults of the disk end nothing here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from app.files import digest_of, remove

MOST_FILES = 16
"""The most files in one folder; the oldest are removed first."""
MOST_BYTES = 2**24
"""The most bytes of one file; a larger one is not kept."""


@dataclass(frozen=True)
class Observations:
    """The observations in one folder; safe to use from many processes at once."""

    folder: Path

    def read(self, key: str) -> dict[str, Tensor] | None:
        """What is kept under a key, if its digest holds; what is damaged is removed."""
        for path in self.folder.glob(f"{key}.*.safetensors"):
            with suppress(OSError, SafetensorError):
                content = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
                if path.name == _name(key, content):
                    return load(content)
            with suppress(OSError):
                remove(path)
        return None

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep these under a key, by one rename, readable by nobody but the owner; the oldest make room."""
        content = save({name: values.contiguous() for name, values in tensors.items()})
        if len(content) > MOST_BYTES:
            return
        with suppress(OSError):
            self.folder.mkdir(0o700, parents=True, exist_ok=True)
            descriptor, partial = mkstemp(".partial", dir=self.folder)  # made with mode 0600
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                Path(partial).rename(self.folder / _name(key, content))
            finally:
                remove(Path(partial))
            self._make_room()

    def _make_room(self) -> None:
        oldest_last = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in oldest_last[MOST_FILES:]:
            remove(path)


def _name(key: str, content: bytes) -> str:
    return f"{key}.{digest_of(content).removeprefix('sha256:')}.safetensors"
