"""JSON bodies: read once it is known who sends them, and taken strictly.

FastAPI would parse a declared body before any dependency, so that a stranger gets a fault of the body instead of 401,
and would take "2", 2.0 and true for a class to forget. So routes ask for their body by a dependency that stands
behind the caller: dependencies are resolved in the order of a route's parameters.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.api.validation import error_from_body, without_refused_nulls
from app.contract.comparing import CompareCreate
from app.contract.fields import Asked
from app.contract.forgetting import ForgetCreate
from app.contract.keys import ApiKeyCreate
from app.contract.models import ModelCreate
from app.contract.training import TrainRequest
from app.contract.verifying import VerifyCreate
from app.contract.versions import ServingRequest
from app.errors import PayloadTooLarge, UnreadableInput

Body = TypeVar("Body", bound=Asked)


_BLANKS = b" \t\r\n"
"""The blanks of JSON; any number of them may stand around a body."""


@dataclass(frozen=True)
class Bounds:
    """What a body may consist of.

    A parser lets nobody run before it has read all of it, not even from another thread, and the validator copies the
    body for each fault. `benchmarks.serving.stalls` measures how long others wait.
    """

    size: int
    values: int
    names: int = 1000
    lists: int = 3000
    """Lists and objects together; they cost most to parse. A training names 1,000 tasks at most."""

    def hold(self, content: bytes) -> bool:
        """Whether the body keeps within the bounds; lists that stay open do not count, since a parser gives up there."""
        return (
            len(content.strip(_BLANKS)) <= self.size
            and content.count(b",") <= self.values
            and content.count(b":") <= self.names
            and content.count(b"]") + content.count(b"}") <= self.lists
        )


NAMING_SAMPLES = Bounds(size=1 << 21, values=110_000)
"""The bounds of a request that names samples, 100,000 at most."""
_OTHERS = Bounds(size=1 << 18, values=11_000)
"""The bounds of a request that names classes, 10,000 at most."""
_BOUNDS: dict[type[Asked], Bounds] = {ForgetCreate: NAMING_SAMPLES, CompareCreate: NAMING_SAMPLES}


def json_body(kind: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """A dependency that reads the request's body as this model; a large one keeps a thread busy, not the event loop."""

    async def read(request: Request) -> Body:
        # Pages of other origins can send anything but this type without asking first (CORS safelist).
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not (
            media_type.startswith("application/") and media_type.endswith("+json")
        ):
            raise UnreadableInput("send JSON, and the header Content-Type: application/json with it")
        return await run_in_threadpool(parse, kind, await request.body())

    return read


def parse(kind: type[Body], content: bytes) -> Body:
    """The body of a request, in which null means left out.

    Raises `PayloadTooLarge`, `UnreadableInput`, or `InvalidInput` with a pointer to every fault.
    """
    content = content.strip(_BLANKS)
    bounds = _BOUNDS.get(kind, _OTHERS)
    if not bounds.hold(content):
        raise PayloadTooLarge(
            f"the body may have at most {bounds.size:,} bytes, {bounds.values:,} values, {bounds.names:,} names and "
            f"{bounds.lists:,} lists and objects"
        )
    _refuse_names_given_twice(content)
    try:
        return kind.model_validate_json(content, strict=True)
    except ValidationError as error:
        rest = without_refused_nulls(error, content)
        if rest is None:
            raise error_from_body(error, content) from None  # its message repeats the input
    return parse(kind, rest)


def _refuse_names_given_twice(content: bytes) -> None:
    """Refuse a name given twice, since readers differ in which value they take; `parse` says what is no JSON at all."""
    try:
        json.loads(content, object_pairs_hook=_with_names_given_once)
    except (ValueError, RecursionError):
        return


def _with_names_given_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise UnreadableInput("the body gives a name of an object twice; give each once")
    return named


def described(kind: type[Asked]) -> dict[str, Any]:
    """The body in the OpenAPI document, which `app.api.openapi` gives the schemas of `app.contract`."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
    return {"requestBody": {"required": True, "content": content}}


ModelCreateBody = Annotated[ModelCreate, Depends(json_body(ModelCreate))]
TrainBody = Annotated[TrainRequest, Depends(json_body(TrainRequest))]
ServingBody = Annotated[ServingRequest, Depends(json_body(ServingRequest))]
ForgetBody = Annotated[ForgetCreate, Depends(json_body(ForgetCreate))]
CompareBody = Annotated[CompareCreate, Depends(json_body(CompareCreate))]
VerifyBody = Annotated[VerifyCreate, Depends(json_body(VerifyCreate))]
ApiKeyBody = Annotated[ApiKeyCreate, Depends(json_body(ApiKeyCreate))]
