"""Who sends a request: API keys, scopes, and the loopback rule of a server without keys.

Every request but a prediction looks its key up in the database, so that a revocation counts at once everywhere.
Predictions go through `IdentityCache`: a revocation counts at once in this process and within a second in others.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from starlette.requests import Request

from app.addresses import is_loopback
from app.api.queries import refuse_unknown_parameters
from app.api.resources import Resources, ResourcesDependency
from app.errors import ForeignHost, ForeignOrigin
from app.operations.administration import api_keys
from app.operations.administration.api_keys import Identity
from app.operations.caller import Caller
from app.specs.originator import Originator

_bearer = HTTPBearer(
    scheme_name="ApiKey",
    auto_error=False,
    description="An API key of `POST /v1/api-keys`, or the one of `FORGETTERY_ADMIN_KEY`. A server that never had a "
    "key listens on loopback only and asks for none.",
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/]+)(?::\d{1,5})?")


def authenticate(
    request: Request,
    needed: SecurityScopes,
    credentials: Credentials,
    held: ResourcesDependency,
) -> Caller:
    """The caller, by a look into the database, if the key holds the scope that the route needs."""
    return _caller(request, needed, _look_up(held, _presented(credentials)))


async def authenticate_from_cache(
    request: Request,
    needed: SecurityScopes,
    credentials: Credentials,
    held: ResourcesDependency,
) -> Caller:
    """The caller, by what the database said within the last second."""
    identity = await held.identities.find(_presented(credentials), partial(_look_up, held))
    return _caller(request, needed, identity)


Reader = Annotated[Caller, Security(authenticate, scopes=["read"])]
Trainer = Annotated[Caller, Security(authenticate, scopes=["train"])]
Forgetter = Annotated[Caller, Security(authenticate, scopes=["forget"])]
Auditor = Annotated[Caller, Security(authenticate, scopes=["audit"])]
Administrator = Annotated[Caller, Security(authenticate, scopes=["admin"])]
AnyCaller = Annotated[Caller, Security(authenticate)]
"""The operation asks for a scope that depends on what it finds."""
PredictCaller = Annotated[Caller, Security(authenticate_from_cache, scopes=["predict"])]


def _presented(credentials: HTTPAuthorizationCredentials | None) -> str | None:
    return credentials.credentials if credentials else None


def _look_up(held: Resources, presented: str | None) -> Identity:
    with held.database.reading() as session:
        return api_keys.authenticate(session, held.settings, presented)


def _caller(request: Request, needed: SecurityScopes, identity: Identity) -> Caller:
    if identity.actor == api_keys.LOCAL:
        refuse_foreign(request)
    caller = Caller(Originator(identity.actor, request.state.request_id), identity.scopes)
    request.state.actor = identity.actor
    for scope in needed.scopes:
        caller.require(scope)  # type: ignore[arg-type]  # FastAPI hands the literals of this file back as strings
    refuse_unknown_parameters(request)  # here, since every route with a key passes, and strangers learn nothing
    return caller


def refuse_foreign(request: Request) -> None:
    """Without keys, refuse web pages of other origins, and names that were rebound to this machine (DNS rebinding)."""
    hosts = request.headers.getlist("host")
    if len(hosts) != 1 or not _leads_here(hosts[0]):
        raise ForeignHost("without an API key, ask for localhost, 127.0.0.1 or [::1]; or configure a key")
    for origin in request.headers.getlist("origin"):
        if origin != f"{request.scope['scheme']}://{hosts[0]}":
            raise ForeignOrigin("without an API key, only pages of this very server may call it; or configure a key")


def _leads_here(host: str) -> bool:
    matched = _HOST.fullmatch(host)
    return matched is not None and is_loopback(matched["name"])
