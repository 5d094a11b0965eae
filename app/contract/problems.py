"""Problem documents (RFC 9457): an error of the tree as status code and body."""

from __future__ import annotations

from pydantic import (
    Field,
)

from app.contract.fields import Answered
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


class ProblemError(Answered):
    """One fault of a request body."""

    pointer: str = Field(description="RFC 6901 JSON pointer to the faulty part; empty for the whole body.")
    detail: str


class Problem(Answered):
    """Problem details (RFC 9457); the answer to everything that goes wrong."""

    type: str = Field(description="A page that explains this kind of problem.", examples=["/problems/model-not-found"])
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[ProblemError] = Field(default_factory=list)
    checks: dict[str, str] | None = Field(default=None, description="In answers of /readyz: each part and how it is.")


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
