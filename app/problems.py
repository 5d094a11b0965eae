"""An error as an RFC 9457 problem document: the one table from the error tree to status codes."""

from __future__ import annotations

from app.errors import (
    Conflict,
    Forbidden,
    ForgetteryError,
    GateMissed,
    Gone,
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestTooSlow,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from app.schemas import Problem, ProblemError

_STATUSES: dict[type[ForgetteryError], int] = {
    InvalidInput: 422,
    MalformedRequest: 400,
    RequestTooSlow: 408,
    PayloadTooLarge: 413,
    UnsupportedMediaType: 415,
    MethodNotAllowed: 405,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    Unavailable: 503,
    GateMissed: 409,
    ForgetteryError: 500,
}


def status_of(kind: type[ForgetteryError]) -> int:
    """The HTTP status of an error class: that of its nearest ancestor in the table."""
    return next(_STATUSES[ancestor] for ancestor in kind.__mro__ if ancestor in _STATUSES)


def problem_of(error: ForgetteryError, instance: str | None = None) -> Problem:
    """The problem document of an error; `instance` names the request or job it belongs to."""
    return Problem(
        type=f"/problems/{error.slug}",
        title=error.title,
        status=status_of(type(error)),
        detail=error.detail,
        instance=instance,
        errors=[ProblemError(pointer=fault.pointer, detail=fault.detail) for fault in error.errors],
    )
