"""What pydantic found wrong with a request, as an error of ours that never repeats the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from app.errors import (
    ApiKeyNotFound,
    DatasetNotFound,
    FieldError,
    ForgetRequestNotFound,
    ForgetteryError,
    InvalidInput,
    JobNotFound,
    ModelNotFound,
    NotFound,
    UnreadableInput,
    VersionNotFound,
)

_MOST_FAULTS = 100
"""The most faults that are told: a body can hold a hundred thousand, and the first ones tell enough."""

# 422 is for the payload alone: a path that no resource can have names nothing.
_NOT_FOUND: dict[str, ForgetteryError] = {
    "name": DatasetNotFound("there is no data set of this name; GET /v1/datasets lists them"),
    "model": ModelNotFound("no model can have this name; GET /v1/models lists them"),
    "number": VersionNotFound("versions are numbered 1, 2, 3, …; GET /v1/models/{model}/versions lists them"),
    "job_id": JobNotFound("jobs are named by UUIDs; GET /v1/jobs lists them"),
    "forget_request_id": ForgetRequestNotFound("requests are named by UUIDs; GET /v1/forget-requests lists them"),
    "key_id": ApiKeyNotFound("keys are named by UUIDs; GET /v1/api-keys lists them"),
}

_SENTENCES = {
    **dict.fromkeys(("dataclass_type", "dict_type", "model_type", "model_attributes_type"), "should be a JSON object"),
    **dict.fromkeys(("uuid_parsing", "uuid_type"), "should be a UUID"),
    "tuple_type": "should be a list",
    **dict.fromkeys(("extra_forbidden", "unexpected_keyword_argument"), "there is no such field; check its spelling"),
}
"""Our sentences, by kind of fault, where those of pydantic speak of Python or repeat the input."""


def error_from_validation(error: RequestValidationError) -> ForgetteryError:
    """The error for a faulty path, query or header: 404 where no resource can have that path, otherwise 422."""
    faults: Sequence[Mapping[str, Any]] = error.errors()[:_MOST_FAULTS]
    in_path = next((fault for fault in faults if fault["loc"][0] == "path"), None)
    if in_path is not None:
        return _NOT_FOUND.get(str(in_path["loc"][1]), NotFound())
    return _invalid([FieldError("", f"{_parameter(fault)}: {_sentence(fault)}") for fault in faults])


def error_from_body(error: ValidationError, content: bytes) -> ForgetteryError:
    """422 with a pointer to every fault of a JSON body."""
    faults: Sequence[Mapping[str, Any]] = error.errors(include_url=False, include_input=False)[:_MOST_FAULTS]
    if _is_unreadable(faults):
        return UnreadableInput("the body is not valid JSON; check brackets, commas and quotes")
    body = from_json(content)
    return _invalid([FieldError(json_pointer(fault["loc"], body), _sentence(fault)) for fault in faults])


def without_refused_nulls(error: ValidationError, content: bytes) -> bytes | None:
    """The body without the nulls that were refused, since null means left out; None if it was not for a null.

    A null as the value of an unknown name, or as an item of a list, stands for nothing that could be left out.
    """
    faults = error.errors(include_url=False, include_context=False)
    if _is_unreadable(faults):
        return None
    body = from_json(content)
    ways = {
        tuple(_way(fault["loc"], body))
        for fault in faults
        if fault["input"] is None and fault["type"] != "extra_forbidden"
    }
    to_names = [way for way in ways if way and isinstance(way[-1], str)]
    for *above, name in to_names:
        holder = body
        for part in above:
            holder = holder[part]
        del holder[name]
    return to_json(body, inf_nan_mode="constants") if to_names else None


def _is_unreadable(faults: Sequence[Mapping[str, Any]]) -> bool:
    return any(fault["type"] == "json_invalid" for fault in faults)


def _invalid(errors: list[FieldError]) -> InvalidInput:
    return InvalidInput("the request is not valid; `errors` says where and why", errors=errors)


def _parameter(fault: Mapping[str, Any]) -> str:
    place, *parts = fault["loc"]
    return f"{place} parameter {'.'.join(map(str, parts))}"


def json_pointer(parts: Sequence[str | int], body: Any) -> str:
    """The RFC 6901 pointer of a fault."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in _way(parts, body))


def _way(parts: Sequence[str | int], body: Any) -> list[str | int]:
    """The names and positions that lead to a fault.

    pydantic names the chosen member of a union as well, which is no part of the body: what leads nowhere is left out,
    except at the end, where a missing field is named.
    """
    way: list[str | int] = []
    for position, part in enumerate(parts):
        is_last = position == len(parts) - 1
        if isinstance(body, dict) and (part in body or is_last):
            body = body.get(part)
        elif isinstance(body, list) and isinstance(part, int) and part < len(body):
            body = body[part]
        else:
            continue
        way.append(part)
    return way


def _sentence(fault: Mapping[str, Any]) -> str:
    """The message of pydantic, except where that would repeat the input."""
    context = fault.get("ctx", {})
    match fault["type"]:
        case "union_tag_invalid":
            return f"the {context['discriminator']} should be one of {context['expected_tags']}"
        case "value_error":
            return str(context["error"])
        case _:
            return _SENTENCES.get(fault["type"], str(fault["msg"]))
