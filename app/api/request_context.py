"""Around every request: its ids, its access log line, its metrics, and an answer for what nobody expected."""

from __future__ import annotations

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.metrics import Metrics
from app.api.problems import problem_response
from app.errors import InternalError

CLIENT_HEADER = "X-Request-Id"
SERVER_HEADER = "X-Forgettery-Request"

_ACCEPTABLE = re.compile(r"[\x21-\x7e]{1,128}")
_CLIENT_CLOSED_REQUEST = 499
_log = structlog.stdlib.get_logger("app.requests")


class RequestContext:
    """The outermost ASGI middleware of this application.

    `scope["state"]["request_id"]` is the server's own UUID of the request: audit entries hold it, the answer carries
    it as `X-Forgettery-Request`. The client's `X-Request-Id` is echoed and logged, nothing more.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; what is no HTTP request passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=answer.request_id, client_request_id=answer.client_id)
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = _CLIENT_CLOSED_REQUEST
        except Exception:
            _log.exception("unexpected error", path=scope["path"])
            if answer.status:
                raise  # half an answer is out: only cutting the connection tells the client
            await problem_response(InternalError(), scope)(scope, receive, answer.send)
        finally:
            self._record(scope, answer.status or _CLIENT_CLOSED_REQUEST, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        self._metrics.request(_route(scope), scope["method"], status, seconds)
        actor = scope["state"].get("actor")
        milliseconds = round(seconds * 1000, 2)
        _log.info(
            "request", method=scope["method"], path=scope["path"], status=status, milliseconds=milliseconds, actor=actor
        )


def _route(scope: Scope) -> str:
    """The route's template, not the path, so that metrics have one series per route; `none` where there is no route."""
    if isinstance(scope.get("endpoint"), StaticFiles):
        return f"{scope['root_path'].removeprefix(scope.get('app_root_path', ''))}/{{file}}"
    if "route" in scope:
        return str(scope["route"].path)
    # Starlette's own routes, such as that of /openapi.json, do not say which they are.
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    plain = (route.path for route in scope["app"].routes if isinstance(route, Route))
    return path if path in plain else "none"


class _Answer:
    """The way out of one request: adds the ids to the headers and remembers the status once it is sent."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.request_id = str(uuid4())
        self.status = 0
        self._send = send
        offered = Headers(scope=scope).get(CLIENT_HEADER, "")
        self.client_id = offered if _ACCEPTABLE.fullmatch(offered) else None
        scope.setdefault("state", {})["request_id"] = self.request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[SERVER_HEADER] = self.request_id
            headers["X-Content-Type-Options"] = "nosniff"
            if self.client_id:
                headers[CLIENT_HEADER] = self.client_id
        await self._send(message)
