"""Routes of versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import FileResponse, Response

from app.api import examples
from app.api.answers import json_answer
from app.api.authentication import Forgetter, Reader
from app.api.openapi import Responses, answers
from app.api.parameters import ModelInPath, VersionInPath
from app.api.resources import DatabaseResource, PageParameters, ReadingSession, SettingsResource
from app.errors import (
    InvalidInput,
    InvalidPageToken,
    JobRunning,
    ModelGone,
    ModelNotFound,
    VersionCorrupted,
    VersionGone,
    VersionNotFound,
    VersionServing,
)
from app.operations import versions
from app.schemas import Page, Version, VersionState

router = APIRouter(prefix="/v1/models/{model}/versions", tags=["versions"])

IfNoneMatch = Annotated[str | None, Header(description="`ETag`s that the client already has.")]
_ETAG = {"ETag": {"description": "The version's digest.", "schema": {"type": "string"}}}
_NOT_MODIFIED: Responses = {304: {"description": "The client has what this `ETag` names."}}


@router.get(
    "",
    summary="List the versions of a model",
    responses=answers(200, examples.page(examples.VERSION), ModelNotFound, ModelGone, InvalidInput, InvalidPageToken),
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

    304 for an available version that the client has: a state never turns back, so nobody keeps an outdated one. Only
    `serving` may have changed; the model says which version serves.
    """
    version = versions.get_version(session, model, number)
    headers = {"ETag": f'"{version.digest}"'}
    if version.state == "available" and matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return json_answer(version, 200, headers)


@router.get(
    "/{number}/weights",
    summary="Download the weights of a version",
    response_class=FileResponse,
    responses={
        **answers(200, None, ModelNotFound, ModelGone, VersionNotFound, VersionGone, VersionCorrupted),
        200: {"content": {"application/octet-stream": {}}, "headers": _ETAG, "description": "The safetensors file."},
        **_NOT_MODIFIED,
    },
)
def download_weights(
    *,
    caller: Reader,
    session: ReadingSession,
    database: DatabaseResource,
    settings: SettingsResource,
    model: ModelInPath,
    number: VersionInPath,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The safetensors file, its digest just checked; 410 once the version is quarantined or purged."""
    version = versions.get_version(session, model, number)
    headers = {"ETag": f'"{version.digest}"'}
    if version.state == "available" and matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    path, _ = versions.checked_weights(database, settings, caller, model, number)
    name = f"{model}-{number}.safetensors"
    return FileResponse(path, headers=headers, media_type="application/octet-stream", filename=name)


@router.post(
    "/{number}/purge",
    summary="Destroy the weights of a version",
    responses=answers(200, examples.VERSION, ModelNotFound, ModelGone, VersionNotFound, VersionServing, JobRunning),
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


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether the client already has what this tag names (RFC 9110, weak comparison)."""
    offered = [candidate.strip().removeprefix("W/") for candidate in (if_none_match or "").split(",")]
    return "*" in offered or tag in offered
