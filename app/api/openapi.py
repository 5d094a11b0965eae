"""The OpenAPI document: what FastAPI derives, and what it cannot know: problems, examples, raw bodies."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from app.api.enum_meanings import describe_enums
from app.api.problems import MEDIA_TYPE
from app.contract.comparing import CompareCreate, Comparison
from app.contract.fields import Asked
from app.contract.forgetting import ForgetCreate
from app.contract.keys import ApiKeyCreate
from app.contract.models import ModelCreate
from app.contract.predicting import PredictRequest
from app.contract.problems import Problem, problem_of, status_of
from app.contract.training import TrainRequest
from app.contract.verifying import VerifyCreate
from app.contract.versions import ServingRequest
from app.errors import (
    DatabaseUnavailable,
    ForeignHost,
    ForeignOrigin,
    ForgetteryError,
    InternalError,
    InvalidInput,
    MissingScope,
    PayloadTooLarge,
    Unauthenticated,
    UnreadableInput,
    UnsupportedContentEncoding,
)

Responses = dict[int | str, dict[str, Any]]

_REFERENCE = "#/components/schemas/{model}"
_BODIES: list[type[Asked]] = [
    ApiKeyCreate,
    CompareCreate,
    ForgetCreate,
    ModelCreate,
    PredictRequest,
    ServingRequest,
    TrainRequest,
    VerifyCreate,
]
_HEADERS = {
    202: [
        ("Location", "The job to follow."),
        ("Idempotency-Replayed", "`true` on an answer that was given before to the same `Idempotency-Key`."),
    ],
    415: [("Accept-Encoding", "Where the encoding is the fault: those that are decoded here.")],
    401: [("WWW-Authenticate", "Always `Bearer`.")],
    503: [("Retry-After", "Seconds to wait.")],
}
TAGS = [
    {"name": "models", "description": "Named models: a line of versions, one of which serves."},
    {"name": "versions", "description": "Immutable versions: look at, download, serve, purge."},
    {"name": "forget", "description": "Requests to forget, and what came of them."},
    {"name": "verifications", "description": "How far what was forgotten is gone, beside retrained models."},
    {"name": "predict", "description": "Classify inputs; what was forgotten is answered as forgotten."},
    {"name": "jobs", "description": "Long work: watch it, cancel it."},
    {"name": "audit", "description": "The append-only log of everything that changed."},
    {"name": "catalogues", "description": "What there is to choose from."},
    {"name": "api keys", "description": "Who may do what."},
    {"name": "service", "description": "How the server is."},
]


def open_route(example: Any, *errors: type[ForgetteryError]) -> Responses:
    """What a route that asks for no key can answer: an example of its success, and every error."""
    return _success(200, example) | problems(*errors, InternalError)


def answers(status: int, example: Any, *errors: type[ForgetteryError]) -> Responses:
    """What a route can answer: an example of its success, these errors, and those of every route with a key."""
    everywhere = (
        InvalidInput,
        Unauthenticated,
        MissingScope,
        ForeignHost,
        ForeignOrigin,
        InternalError,
        DatabaseUnavailable,
    )
    return _success(status, example) | problems(*errors, *everywhere)


def answers_to_body(status: int, example: Any, *errors: type[ForgetteryError]) -> Responses:
    """What a route that takes a body can answer: what `answers` lists, and the errors of reading a body."""
    everywhere = (UnreadableInput, PayloadTooLarge, UnsupportedContentEncoding)
    return answers(status, example, *everywhere, *errors)


def problems(*errors: type[ForgetteryError]) -> Responses:
    """These errors as OpenAPI responses by status, each error a named example."""
    by_status: dict[int | str, list[type[ForgetteryError]]] = {}
    for kind in errors:
        by_status.setdefault(status_of(kind), []).append(kind)
    return {status: _problem(kinds) for status, kinds in sorted(by_status.items(), key=str)}


def install_openapi(app: FastAPI) -> None:
    """Complete FastAPI's document by the schemas that only hand-written parts refer to."""
    derive = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = derive()
            _, extra = models_json_schema(
                [(Problem, "serialization"), (Comparison, "serialization")], ref_template=_REFERENCE
            )
            _, asked = models_json_schema([(body, "validation") for body in _BODIES], ref_template=_REFERENCE)
            for schema in asked["$defs"].values():
                _allow_null(schema)
            document["components"]["schemas"] |= extra["$defs"] | asked["$defs"]
            _drop_framework_errors(document)
            _unfold_examples(document)
            describe_enums(document)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _allow_null(schema: dict[str, Any]) -> None:
    """In a request null means left out, so it may stand wherever a field may be left out."""
    for name, field in schema.get("properties", {}).items():
        if name in schema.get("required", []) or {"type": "null"} in field.get("anyOf", []):
            continue
        about = {key: field.pop(key) for key in ("title", "description", "default") if key in field}
        alternatives = field["anyOf"] if list(field) == ["anyOf"] else [field]
        schema["properties"][name] = {"anyOf": [*alternatives, {"type": "null"}]} | about


def _drop_framework_errors(document: dict[str, Any]) -> None:
    """FastAPI adds its own 422 to every route with parameters that declares none; ours answers 404 for those."""
    for path in document["paths"].values():
        for operation in path.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def _unfold_examples(document: dict[str, Any]) -> None:
    """FastAPI drops every null of the document, those of examples too; so they went through it as text."""
    for path in document["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                content = response.get("content", {}).get("application/json", {})
                if "example" in content:
                    content["example"] = json.loads(content["example"])


def _success(status: int, example: Any) -> Responses:
    content = {"content": {"application/json": {"example": json.dumps(example)}}} if example is not None else {}
    return {status: content | _headers(status)}


def _headers(status: int) -> dict[str, Any]:
    return {"headers": {name: _header(sentence) for name, sentence in _HEADERS[status]}} if status in _HEADERS else {}


def _header(sentence: str) -> dict[str, Any]:
    return {"description": sentence, "schema": {"type": "string"}}


def _problem(kinds: list[type[ForgetteryError]]) -> dict[str, Any]:
    examples = {
        kind.slug: {"summary": kind.title, "value": problem_of(kind()).model_dump(mode="json", exclude_none=True)}
        for kind in kinds
    }
    return {
        "description": "; ".join(dict.fromkeys(kind.title for kind in kinds)),
        **_headers(status_of(kinds[0])),
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}, "examples": examples}},
    }
