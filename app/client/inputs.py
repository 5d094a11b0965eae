"""Inputs of a prediction as a request body: lists as JSON, arrays as npy, bytes as what they are."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from app.errors import InvalidInput, InvalidValue

_MEDIA_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"\x93NUMPY": "application/x-npy",
}


class DType(Protocol):
    """The part of a numpy dtype that is used here."""

    @property
    def name(self) -> str: ...  # noqa: D102  numpy's own


@runtime_checkable
class Array(Protocol):
    """The part of a numpy array that is used here."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102  numpy's own
    @property
    def dtype(self) -> DType: ...  # noqa: D102  numpy's own
    def astype(self, dtype: str, /) -> Array: ...  # noqa: D102  numpy's own
    def tobytes(self) -> bytes: ...  # noqa: D102  numpy's own


def media_type(content: bytes) -> str:
    """The media type that the first bytes tell; raises InvalidInput for what the server does not read."""
    for magic, name in _MEDIA_TYPES.items():
        if content.startswith(magic):
            return name
    raise InvalidInput("bytes to predict must be a PNG, a JPEG or a .npy file")


def npy(array: Array) -> bytes:
    """The array as a .npy file: uint8 as it is, floating point as float32.

    Written by hand because the client does not depend on numpy; the format: numpy.lib.format, version 1.0.
    """
    kind = array.dtype.name
    if kind != "uint8" and not kind.startswith("float"):
        raise InvalidValue(f"an array of {kind} could mean 0..1 or 0..255; convert it to float32 or uint8 first")
    descriptor, array = ("|u1", array) if kind == "uint8" else ("<f4", array.astype("<f4"))
    header = f"{{'descr': '{descriptor}', 'fortran_order': False, 'shape': {tuple(map(int, array.shape))}, }}"
    padded = header + " " * (-(len(header) + 11) % 64) + "\n"  # 10 bytes go before the header, a newline ends it
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + array.tobytes()
