"""Which pages of other origins may read answers (CORS): those that the operator names, by default none."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from app.addresses import followable
from app.api.idempotency import REPLAYED_HEADER
from app.api.problems import MEDIA_TYPE
from app.api.request_context import CLIENT_HEADER, SERVER_HEADER
from app.contract.problems import problem_of
from app.errors import Forbidden

_METHODS = ("DELETE", "GET", "HEAD", "POST", "PUT")
_ASKED = ("Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key", "Last-Event-ID", CLIENT_HEADER)
_ANSWERED = (
    "Accept-Encoding",
    "Allow",
    "ETag",
    "Location",
    "Retry-After",
    REPLAYED_HEADER,
    CLIENT_HEADER,
    SERVER_HEADER,
)


class CrossOrigin(CORSMiddleware):
    """Starlette's middleware, with problem documents as refusals. Keys go in a header, so no cookie is needed."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        super().__init__(
            app, allow_origins=origins, allow_methods=_METHODS, allow_headers=_ASKED, expose_headers=_ANSWERED
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer the question that a browser asks before it sends the request itself."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        problem = problem_of(
            Forbidden("pages of this origin may not send this; FORGETTERY_CORS_ORIGINS says which may")
        )
        problem = problem.model_copy(update={"type": followable(problem.type)})
        content = problem.model_dump_json(exclude_none=True)
        return Response(content, problem.status, {"Vary": answer.headers["Vary"]}, MEDIA_TYPE)
