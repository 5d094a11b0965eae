"""Behind a proxy that strips a prefix from the path: whatever leads back to this server begins with it again."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.addresses import asked_under, is_path_prefix


class Prefix:
    """ASGI middleware: the path and `root_path` of what is inside it are those that the client sees.

    The prefix is the one set, else that of `X-Forwarded-Prefix`; a `Location` on this server gets it on the way out, so
    that routes and kept answers know nothing of it.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; what is no HTTP request, or came without a prefix, passes through."""
        prefix = self._root_path or _forwarded(scope) if scope["type"] == "http" else ""
        if not prefix:
            await self._app(scope, receive, send)
            return

        async def send_with_prefix(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("location", "").startswith("/"):
                    headers["location"] = prefix + headers["location"]
            await send(message)

        # Not a copy: what the router notes in the scope is read further out.
        scope["root_path"], scope["path"] = prefix, prefix + scope["path"]
        scope["raw_path"] = prefix.encode() + scope["raw_path"]
        with asked_under(prefix):
            await self._app(scope, receive, send_with_prefix)


def root_path(scope: Scope) -> str:
    """What a link to this server begins with; a mounted part takes the prefix of the whole application."""
    found: str = scope.get("app_root_path", scope.get("root_path", ""))
    return found


def _forwarded(scope: Scope) -> str:
    # Anybody may send one, so it must not be able to end a header or a tag, or to name a host.
    offered = Headers(scope=scope).get("x-forwarded-prefix", "").rstrip("/")
    return offered if is_path_prefix(offered) else ""
