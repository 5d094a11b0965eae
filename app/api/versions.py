"""Routes of versions."""

from __future__ import annotations

from functools import partial
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Header, Query
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api import examples
from app.api.authentication import Forgetter, Reader
from app.api.headers import json_answer
from app.api.openapi import Responses, answers
from app.api.parameters import ModelInPath, VersionInPath
from app.api.resources import DatabaseResource, PageParameters, ReadingSession, SettingsResource
from app.contract.lists import Page
from app.contract.versions import Version, VersionState
from app.errors import (
    GuardNotFound,
    InvalidPageToken,
    JobRunning,
    ModelGone,
    ModelNotFound,
    StorageUnavailable,
    VerificationPending,
    VersionCorrupted,
    VersionGone,
    VersionNotFound,
    VersionServing,
)
from app.operations.models import guards, model_cards, versions

router = APIRouter(prefix="/v1/models/{model}/versions", tags=["versions"])

_CHUNK = 1024 * 1024
IfNoneMatch = Annotated[str | None, Header(description="`ETag`s that the client already has.")]
_ETAG = {"ETag": {"description": "The version's digest.", "schema": {"type": "string"}}}
_WEIGHTS: Responses = {
    200: {
        "description": "The safetensors file.",
        "headers": _ETAG,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_CARD: Responses = {
    200: {
        "content": {"text/markdown": {"schema": {"type": "string"}, "example": "# digits, version 2\n\nA classifier …"}}
    }
}
_NOT_MODIFIED: Responses = {304: {"description": "The client has what this `ETag` names."}}


class Markdown(PlainTextResponse):
    """Markdown for people."""

    media_type = "text/markdown"


@router.get(
    "",
    summary="List the versions of a model",
    responses=answers(
        200,
        examples.page(examples.VERSION, examples.TASK_VERSION),
        ModelNotFound,
        ModelGone,
        InvalidPageToken,
    ),
)
def list_versions(
    _: Reader,
    session: ReadingSession,
    model: ModelInPath,
    page: PageParameters,
    state: Annotated[VersionState | None, Query(description="In this state only.")] = None,
) -> Page[Version]:
    """All versions in ascending order, whatever their state."""
    return versions.list_versions(session, model, page, state=state)


@router.get(
    "/{number}",
    summary="Look at a version",
    response_model=Version,
    responses=answers(200, examples.VERSION, ModelNotFound, ModelGone, VersionNotFound) | _NOT_MODIFIED,
)
def get_version(
    _: Reader,
    session: ReadingSession,
    model: ModelInPath,
    number: VersionInPath,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What the version is, where it comes from, what was measured; its `ETag` is the digest of its weights.

    304 for an available version without a guard that the client has: a state never turns back, so nobody keeps an outdated one. Only
    `serving` may have changed; the model says which version serves.
    """
    version = versions.get_version(session, model, number)
    headers = {"ETag": f'"{version.digest}"'}
    if version.state == "available" and version.guard is None and matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return json_answer(version, 200, headers)


@router.get(
    "/{number}/card",
    summary="Read the model card of a version",
    response_class=Markdown,
    responses=answers(200, None, ModelNotFound, ModelGone, VersionNotFound) | _CARD,
)
def get_card(_: Reader, session: ReadingSession, model: ModelInPath, number: VersionInPath) -> Response:
    """Markdown for people: what the version is, what it forgot by which request and when, what was measured; in any state."""
    return Markdown(model_cards.card(session, model, number))


@router.get(
    "/{number}/weights",
    summary="Download the weights of a version",
    response_class=StreamingResponse,
    responses=answers(
        200, None, ModelNotFound, ModelGone, VersionNotFound, VersionGone, VersionCorrupted, StorageUnavailable
    )
    | _WEIGHTS
    | _NOT_MODIFIED,
)
def download_weights(
    *,
    caller: Reader,
    database: DatabaseResource,
    settings: SettingsResource,
    model: ModelInPath,
    number: VersionInPath,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The safetensors file, its digest just checked; 410 once the version is quarantined or purged."""
    weights = versions.open_weights(database, settings, caller, model, number)
    tag = f'"{weights.digest}"'
    if matches(if_none_match, tag):
        weights.file.close()
        return Response(status_code=304, headers={"ETag": tag})
    name = f"{model}-{number}.safetensors"
    headers = {
        "ETag": tag,
        "Content-Length": str(weights.num_bytes),
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return _Download(weights.file, headers)


@router.post(
    "/{number}/purge",
    summary="Destroy the weights of a version",
    responses=answers(
        200,
        examples.VERSION,
        ModelNotFound,
        ModelGone,
        VersionNotFound,
        VersionServing,
        JobRunning,
        VerificationPending,
        StorageUnavailable,
    ),
)
def purge_version(
    caller: Forgetter,
    database: DatabaseResource,
    settings: SettingsResource,
    model: ModelInPath,
    number: VersionInPath,
) -> Version:
    """Destroy the weights for ever; manifest and digest stay. Purging twice changes nothing."""
    return versions.purge_version(database, settings, caller, model, number)


@router.delete(
    "/{number}/guard",
    summary="Delete the guard of a version",
    responses=answers(
        200,
        examples.UNGUARDED_VERSION,
        ModelNotFound,
        ModelGone,
        VersionNotFound,
        GuardNotFound,
        JobRunning,
        StorageUnavailable,
    ),
)
def delete_guard(
    caller: Forgetter,
    database: DatabaseResource,
    settings: SettingsResource,
    model: ModelInPath,
    number: VersionInPath,
) -> Version:
    """Destroy the small network that knows the classes it refuses; the classifier then answers alone, at once."""
    return guards.delete_guard(database, settings, caller, model, number)


class _Download(StreamingResponse):
    """An opened file in chunks, closed however the sending ends: a background task would not run after an error."""

    def __init__(self, file: BinaryIO, headers: dict[str, str]) -> None:
        super().__init__(iter(partial(file.read, _CHUNK), b""), headers=headers, media_type="application/octet-stream")
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        with self._file:
            await super().__call__(scope, receive, send)


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether the client already has what this tag names (RFC 9110, weak comparison)."""
    offered = [candidate.strip().removeprefix("W/") for candidate in (if_none_match or "").split(",")]
    return "*" in offered or tag in offered
