"""What the API and the predictor process say to each other over a pair of connected sockets.

A frame is two little-endian unsigned 32-bit lengths, a msgpack header and a payload of raw float32 values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

LARGEST_FORWARD = 32
"""Rows of one forward pass at most, and so of one `Ask`; small requests are gathered up to it."""

_LENGTHS = struct.Struct("<II")
_LARGEST_HEADER = 1 << 16
_LARGEST_PAYLOAD = 1 << 28


class VersionKey(NamedTuple):
    """Which version is meant, and of which bytes; a digest alone says less, since equal weights have equal digests."""

    model: str
    number: int
    digest: str
    """The digest of the weights."""
    manifest_digest: str
    guarded: bool = False
    """Whether its guard refuses, too; False once the guard is deleted."""


class Ask(msgspec.Struct, frozen=True, array_like=True, tag="ask"):
    """Rows for one version; the payload is float32 of `shape` [N, C, H, W]."""

    id: int
    version: VersionKey
    shape: tuple[int, int, int, int]
    task: int | None = None
    """The task whose classes compete, which the version must have; None: all learned classes compete."""


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The message that the process sends once, when it can answer."""


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """Served probabilities; the payload is float32 of `shape` [N, classes + 1]."""

    id: int
    shape: tuple[int, int]


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refusal"):
    """Why there is no answer: an error of `app.errors` by slug, without payload."""

    id: int
    slug: str
    detail: str


Header = Ask | Ready | Answer | Refusal

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Header] = msgspec.msgpack.Decoder(Header)


def encode(header: Header, payload: bytes = b"") -> bytes:
    """One frame."""
    encoded = _encoder.encode(header)
    return b"".join((_LENGTHS.pack(len(encoded), len(payload)), encoded, payload))


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, received: bytes) -> Iterator[tuple[Header, bytearray]]:
        """The frames that are complete now; payloads are writable copies.

        Raises ValueError when the stream holds something else than frames.
        """
        buffer = self._buffer
        buffer += received
        start = 0
        while len(buffer) - start >= _LENGTHS.size:
            header_length, payload_length = _LENGTHS.unpack_from(buffer, start)
            if header_length > _LARGEST_HEADER or payload_length > _LARGEST_PAYLOAD:
                raise ValueError("a frame is longer than any that is ever sent")
            payload_start = start + _LENGTHS.size + header_length
            end = payload_start + payload_length
            if len(buffer) < end:
                break
            header = _decoder.decode(buffer[start + _LENGTHS.size : payload_start])
            start = end
            yield header, buffer[payload_start:end]
        del buffer[:start]
