"""A limit on request bodies, whether their length is declared or they come in chunks."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from app.errors import PayloadTooLarge

_MEBIBYTE = 1024 * 1024
_DOCUMENT_LIMIT = 4 * _MEBIBYTE
"""The limit of every body but that of a prediction: 100,000 sample ids need less than 1 MiB."""


class BodyLimit:
    """ASGI middleware: a declared length over the limit is refused unread, an undeclared one where it passes it."""

    def __init__(self, app: ASGIApp, max_body_mb: float) -> None:
        self._app = app
        self._limit = int(max_body_mb * _MEBIBYTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; what is no HTTP request passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit if scope["path"].endswith("/predict") else min(self._limit, _DOCUMENT_LIMIT)
        error = PayloadTooLarge(f"the body may have at most {limit} bytes; send less at once")
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            await problem_response(error, scope)(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise error
            return message

        await self._app(scope, bounded, send)
