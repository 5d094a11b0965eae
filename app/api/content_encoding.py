"""Bodies in `Content-Encoding: gzip` or `deflate`, decoded piece by piece as they are read."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import UnreadableInput, UnsupportedContentEncoding

_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""What zlib calls the formats of RFC 9110, section 8.4.1: gzip, and deflate in the frame of RFC 1950."""
_PIECE = 1 << 16
"""Bytes decoded at once: a few bytes may decode to a thousand times as many, and nobody else runs meanwhile."""


class ContentEncoding:
    """ASGI middleware: what is inside it reads the decoded body, and never more of one than it asks for.

    It stands between two `BodyLimit`s: one bounds what is sent, the other what that decodes to.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; what is no HTTP request, or is not encoded, passes through."""
        coding = _coding(scope) if scope["type"] == "http" else ""
        if coding in {"", "identity"}:
            await self._app(scope, receive, send)
            return
        # The length is that of the encoded body. Not a copy: what the router notes in the scope is read further out.
        encoded = (b"content-encoding", b"content-length")
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in encoded]
        decoded = _Decoding(receive, coding).receive if coding in _WINDOWS else _refuse
        await self._app(scope, decoded, send)


def _coding(scope: Scope) -> str:
    return ", ".join(Headers(scope=scope).getlist("content-encoding")).strip().lower()


async def _refuse() -> Message:
    """Only where a body is read: who may not send one learns that first."""
    raise UnsupportedContentEncoding("send the body as it is, or with Content-Encoding gzip or deflate")


class _Decoding:
    """One body; each message holds what could be decoded next, which may be nothing."""

    def __init__(self, receive: Receive, coding: str) -> None:
        self._receive = receive
        self._coding = coding
        self._stream: Any = zlib.decompressobj(_WINDOWS[coding])  # its type has no public name
        self._undecoded = b""
        self._holds_more = self._received_all = False

    async def receive(self) -> Message:
        """The next message; raises `UnreadableInput` for what is not one whole stream of the format."""
        if self._holds_more:
            await asyncio.sleep(0)  # lets others run, as waiting for bytes does
        else:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._undecoded = message.get("body", b"")
            self._received_all = not message.get("more_body", False)
        piece = self._next_piece()
        return {"type": "http.request", "body": piece, "more_body": self._holds_more or not self._received_all}

    def _next_piece(self) -> bytes:
        try:
            piece: bytes = self._stream.decompress(self._undecoded, _PIECE)
        except zlib.error:
            raise UnreadableInput(f"the body is not {self._coding}, which its Content-Encoding says it is") from None
        self._undecoded = self._stream.unconsumed_tail
        self._holds_more = bool(self._undecoded) or len(piece) == _PIECE
        if self._stream.unused_data:
            raise UnreadableInput(f"the body goes on after its {self._coding} stream has ended; send a single one")
        if self._received_all and not self._holds_more and not self._stream.eof:
            raise UnreadableInput(f"the body ends before its {self._coding} stream does; send all of it")
        return piece
