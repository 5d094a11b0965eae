"""From a problem document (RFC 9457) back to the exception that the server raised."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from pydantic import ValidationError

from app.addresses import without_credentials
from app.contract.problems import Problem, status_of
from app.errors import (
    Conflict,
    FieldError,
    Forbidden,
    ForgetteryError,
    Gone,
    InternalError,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    Unauthenticated,
    Unavailable,
    errors_by_slug,
)

_CATEGORIES: Mapping[int, type[ForgetteryError]] = {
    status_of(kind): kind
    for kind in (InvalidInput, PayloadTooLarge, Unauthenticated, Forbidden, NotFound, Conflict, Gone, Unavailable)
} | {502: Unavailable, 504: Unavailable}  # what a proxy answers for a server that is away


def error_from_problem(problem: Problem) -> ForgetteryError:
    """The exception that this problem was; for one that only a newer server knows, the exception of its status."""
    slug = problem.type.rstrip("/").rpartition("/")[2]
    kind = errors_by_slug().get(slug) or _category(problem.status)
    error = kind(problem.detail, errors=[FieldError(fault.pointer, fault.detail) for fault in problem.errors])
    error.problem = problem
    return error


def error_from_response(response: httpx.Response, through: str = "") -> ForgetteryError:
    """The exception behind an answer that is no success; its body must have been read.

    `through`: what stands between us and the server, which may have answered in its stead.
    """
    try:
        return error_from_problem(Problem.model_validate_json(response.content))
    except ValidationError:
        address = without_credentials(str(response.request.url))
        sentence = f"{address}{through} answered {response.status_code} without saying why; check the URL"
        return _category(response.status_code)(sentence)


def _category(status: int) -> type[ForgetteryError]:
    return _CATEGORIES.get(status) or (InvalidInput if status < httpx.codes.INTERNAL_SERVER_ERROR else InternalError)
