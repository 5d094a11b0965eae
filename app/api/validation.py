"""What pydantic found wrong with a request, as an error of ours that never repeats the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json

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
"""A body can hold a hundred thousand faults; the first ones tell enough."""

# 422 is for the payload alone: a path that no resource can have names nothing.
_NOT_FOUND: dict[str, ForgetteryError] = {
    "name": DatasetNotFound("there is no data set of this name; GET /v1/datasets lists them"),
    "model": ModelNotFound("no model can have this name; GET /v1/models lists them"),
    "number": VersionNotFound("versions are numbered 1, 2, 3, …; GET /v1/models/{model}/versions lists them"),
    "job_id": JobNotFound("jobs are named by UUIDs; GET /v1/jobs lists them"),
    "forget_request_id": ForgetRequestNotFound("requests are named by UUIDs; GET /v1/forget-requests lists them"),
    "key_id": ApiKeyNotFound("keys are named by UUIDs; GET /v1/api-keys lists them"),
}


def error_from_validation(error: RequestValidationError) -> ForgetteryError:
    """Of path, query and headers: 404 where a part of the path is none that a resource can have, otherwise 422."""
    faults: Sequence[Mapping[str, Any]] = error.errors()[:_MOST_FAULTS]
    in_path = next((fault for fault in faults if fault["loc"][0] == "path"), None)
    if in_path is not None:
        return _NOT_FOUND.get(str(in_path["loc"][1]), NotFound())
    return _invalid([FieldError("", f"{_parameter(fault)}: {_sentence(fault)}") for fault in faults])


def error_from_body(error: ValidationError, content: bytes) -> ForgetteryError:
    """422 with a pointer to every fault of a JSON body."""
    faults: Sequence[Mapping[str, Any]] = error.errors(include_url=False, include_input=False)[:_MOST_FAULTS]
    if any(fault["type"] == "json_invalid" for fault in faults):
        return UnreadableInput("the body is not valid JSON; check brackets, commas and quotes")
    body = from_json(content)
    return _invalid([FieldError(json_pointer(fault["loc"], body), _sentence(fault)) for fault in faults])


def _invalid(errors: list[FieldError]) -> InvalidInput:
    return InvalidInput("the request is not valid; `errors` says where and why", errors=errors)


def _parameter(fault: Mapping[str, Any]) -> str:
    place, *parts = fault["loc"]
    return f"{place} parameter {'.'.join(map(str, parts))}"


def json_pointer(parts: Sequence[str | int], body: Any) -> str:
    """The RFC 6901 pointer of a fault.

    pydantic names the chosen member of a union as well, which is no part of the body: what leads nowhere is left out,
    except at the end, where a missing field is named.
    """
    pointer = ""
    for position, part in enumerate(parts):
        is_last = position == len(parts) - 1
        if isinstance(body, dict) and (part in body or is_last):
            body = body.get(part)
        elif isinstance(body, list) and isinstance(part, int) and part < len(body):
            body = body[part]
        else:
            continue
        pointer += "/" + str(part).replace("~", "~0").replace("/", "~1")
    return pointer


def _sentence(fault: Mapping[str, Any]) -> str:
    """The message of pydantic, except where that would repeat the input."""
    context = fault.get("ctx", {})
    match fault["type"]:
        case "union_tag_invalid":
            return f"the {context['discriminator']} should be one of {context['expected_tags']}"
        case "uuid_parsing" | "uuid_type":
            return "should be a UUID"
        case "extra_forbidden":
            return "there is no such field; check its spelling"
        case "value_error":
            return str(context["error"])
        case _:
            message: str = fault["msg"]
            return message
