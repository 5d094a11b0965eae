"""Whatever goes wrong, answered as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import Scope

from app.addresses import followable
from app.api.validation import error_from_validation
from app.contract.problems import problem_of
from app.errors import (
    Conflict,
    DatabaseUnavailable,
    ForgetteryError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Unauthenticated,
    Unavailable,
    UnsupportedContentEncoding,
)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
"""The seconds that `Retry-After` names with 503."""

_FRAMEWORK_ERRORS: dict[int, ForgetteryError] = {
    404: NotFound("there is nothing at this path; /docs lists every path"),
    405: MethodNotAllowed("this path does not take this method; the Allow header lists those that it takes"),
}
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_UNIQUE_VIOLATIONS = {"23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}


def problem_response(
    error: ForgetteryError,
    scope: Scope,
    *,
    checks: dict[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The error as the answer to this request; `checks` are those of `/readyz`, `headers` go beside the error's own."""
    problem = problem_of(error, quote(scope["path"]))
    problem = problem.model_copy(update={"type": followable(problem.type), "checks": checks})
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=problem.status,
        headers={**_headers(error), **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error that a route, a dependency or the framework raises; others end in `RequestContext`."""

    @app.exception_handler(ForgetteryError)
    async def _ours(request: Request, error: ForgetteryError) -> Response:
        return problem_response(error, request.scope)

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> Response:
        return problem_response(error_from_validation(error), request.scope)

    @app.exception_handler(HTTPException)
    async def _framework(request: Request, error: HTTPException) -> Response:
        ours = _FRAMEWORK_ERRORS.get(error.status_code, InternalError())
        headers = {"Allow": allowed_methods(request)} if isinstance(ours, MethodNotAllowed) else error.headers
        return problem_response(ours, request.scope, headers=headers)

    @app.exception_handler(DBAPIError)
    @app.exception_handler(PoolTimeout)
    async def _database(request: Request, error: DBAPIError | PoolTimeout) -> Response:
        return problem_response(error_from_database(error), request.scope)


def allowed_methods(request: Request) -> str:
    """What the path takes by all its routes together; the framework names the methods of the first one alone."""
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]
    taken = [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    return ", ".join(taken or ["GET", "HEAD"])  # files are mounted


def error_from_database(error: DBAPIError | PoolTimeout) -> ForgetteryError:
    """A fault of the database as an error of ours; one that is a fault of this program is raised again."""
    if isinstance(error, PoolTimeout | OperationalError | InterfaceError):
        return DatabaseUnavailable("the database is busy or out of reach; try again shortly")
    code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
    if isinstance(error, IntegrityError) and code in _UNIQUE_VIOLATIONS:
        return Conflict("another request changed the same thing in this moment; look at it again and repeat yours")
    raise error


def _headers(error: ForgetteryError) -> dict[str, str]:
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="forgettery"'}
    if isinstance(error, UnsupportedContentEncoding):
        return {"Accept-Encoding": "gzip, deflate, identity"}
    return {"Retry-After": str(RETRY_SECONDS)} if isinstance(error, Unavailable) else {}
