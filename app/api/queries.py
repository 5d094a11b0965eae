"""Query parameters that a route does not know, or gets twice: refused, so that a misspelt filter never lists everything."""

from __future__ import annotations

from collections import Counter

from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from starlette.requests import Request

from app.errors import FieldError, InvalidInput

_MOST_FAULTS = 100


def refuse_unknown_parameters(request: Request) -> None:
    """Raise `InvalidInput` for a parameter that a reader would have to ignore, or to choose a value of."""
    if not request.scope["query_string"]:
        return
    known = _known(request.scope["route"])
    given = Counter(name for name, _ in request.query_params.multi_items())
    faults = [f"{name}: {_unknown(known)}" for name in given if name not in known]
    faults += [
        f"{name}: given {times} times; give it once" for name, times in given.items() if name in known and times > 1
    ]
    if faults:
        errors = [FieldError("", f"query parameter {fault}") for fault in faults[:_MOST_FAULTS]]
        raise InvalidInput("the request is not valid; `errors` says where and why", errors=errors)


def _unknown(known: frozenset[str]) -> str:
    return (
        f"there is no such parameter here; there are {', '.join(sorted(known))}"
        if known
        else "this route takes no parameters"
    )


def _known(route: APIRoute) -> frozenset[str]:
    return frozenset(field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, Query))
