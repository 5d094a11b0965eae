"""Routes of API keys."""

from __future__ import annotations

from fastapi import APIRouter

from app.api import examples
from app.api.authentication import Administrator
from app.api.bodies import ApiKeyBody, described
from app.api.openapi import answers, answers_to_body
from app.api.parameters import ApiKeyInPath
from app.api.resources import PageParameters, ReadingSession, ResourcesDependency
from app.contract.keys import ApiKey, ApiKeyCreate, ApiKeyCreated
from app.contract.lists import Page
from app.errors import ApiKeyNotFound, FirstKeyMustBeAdmin, InvalidPageToken, LastAdminKey
from app.operations.administration import api_keys

router = APIRouter(prefix="/v1/api-keys", tags=["api keys"])


@router.post(
    "",
    status_code=201,
    summary="Create an API key",
    responses=answers_to_body(201, examples.API_KEY_CREATED, FirstKeyMustBeAdmin),
    openapi_extra=described(ApiKeyCreate),
)
def create_api_key(caller: Administrator, body: ApiKeyBody, held: ResourcesDependency) -> ApiKeyCreated:
    """The secret is in this answer and nowhere else: only its hash is stored."""
    with held.database.writing() as session:
        created = api_keys.create_api_key(session, caller, body)
    held.identities.clear()  # after the commit: the first key ends the time without keys
    return created


@router.get(
    "",
    summary="List the API keys",
    responses=answers(200, examples.page(examples.API_KEY), InvalidPageToken),
)
def list_api_keys(_: Administrator, session: ReadingSession, page: PageParameters) -> Page[ApiKey]:
    """All keys without their secrets, revoked ones too."""
    return api_keys.list_api_keys(session, page)


@router.delete(
    "/{key_id}",
    status_code=204,
    summary="Revoke an API key",
    responses=answers(204, None, ApiKeyNotFound, LastAdminKey),
)
def revoke_api_key(key_id: ApiKeyInPath, caller: Administrator, held: ResourcesDependency) -> None:
    """End the key at once, also for predictions; other server processes follow for those within a second.

    The last active key with the scope `admin` stays, unless `FORGETTERY_ADMIN_KEY` is set.
    """
    with held.database.writing() as session:
        api_keys.revoke_api_key(session, caller, held.settings, key_id)
    held.identities.clear()  # after the commit
