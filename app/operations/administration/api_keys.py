"""API keys: create, list, revoke, and find out who presents one."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import NamedTuple, get_args
from uuid import UUID, uuid4

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.audit import log
from app.contract.keys import ApiKey, ApiKeyCreate, ApiKeyCreated, ApiScope
from app.contract.lists import Page
from app.database.engine import database_now
from app.database.tables import ApiKeyRow
from app.errors import ApiKeyNotFound, FirstKeyMustBeAdmin, LastAdminKey, Unauthenticated
from app.operations.caller import Caller
from app.operations.pages import PageQuery, paginate
from app.settings import Settings

ADMIN = "admin"
"""The actor that holds `FORGETTERY_ADMIN_KEY`."""
LOCAL = "local"
"""The actor of a server that never had a key."""
_ACTIVE = ApiKeyRow.revoked_at.is_(None)
_EVERY_SCOPE = frozenset[str](get_args(ApiScope))


class Identity(NamedTuple):
    """Who a key belongs to, and what it allows."""

    actor: str
    scopes: frozenset[str]


def authenticate(session: Session, settings: Settings, presented: str | None) -> Identity:
    """Who presents this key; without one, `local` while the server listens on loopback and never had a key.

    Raises `Unauthenticated`.
    """
    if presented is None:
        if settings.listens_on_loopback and not ever_a_key(session, settings):
            return Identity(LOCAL, _EVERY_SCOPE)
        raise Unauthenticated(_way_in(session, settings))
    if settings.admin_key and _same(presented, settings.admin_key.get_secret_value()):
        return Identity(ADMIN, _EVERY_SCOPE)
    found = session.scalar(select(ApiKeyRow).where(ApiKeyRow.key_hash == _hash(presented)))
    if found is None or found.revoked_at is not None:
        raise Unauthenticated("this API key is unknown or was revoked; ask an administrator for another")
    return Identity(f"key:{found.id}", frozenset(found.scopes))


def any_key(session: Session, settings: Settings) -> bool:
    """Whether anybody can enter: the admin key is set or an API key is active."""
    return settings.admin_key is not None or bool(session.scalar(select(exists().where(_ACTIVE))))


def ever_a_key(session: Session, settings: Settings) -> bool:
    """Whether the server is closed for good: the admin key is set or an API key was ever made, revoked or not."""
    return settings.admin_key is not None or bool(session.scalar(select(exists(ApiKeyRow.id))))


def _way_in(session: Session, settings: Settings) -> str:
    if any_key(session, settings):
        return "send an API key as `Authorization: Bearer <key>`"
    return (
        "every API key was revoked; start the server with FORGETTERY_ADMIN_KEY and send that, or make a new one with it"
    )


def create_api_key(session: Session, caller: Caller, body: ApiKeyCreate) -> ApiKeyCreated:
    """A new key; its secret is in this answer only. Raises `FirstKeyMustBeAdmin` on a server without any key."""
    if caller.by.actor == LOCAL and "admin" not in body.scopes:
        raise FirstKeyMustBeAdmin(
            'from the first key on every request needs one, so it must hold the scope "admin"; create that one first'
        )
    # 256 random bits: a plain hash is enough to store, and finding a key by its hash tells an attacker nothing.
    key = f"fgt_{secrets.token_urlsafe(32)}"
    row = ApiKeyRow(
        id=uuid4(),
        name=body.name,
        scopes=sorted(set(body.scopes)),
        key_hash=_hash(key),
        created_at=database_now(session),
    )
    session.add(row)
    _log(session, "api-key.created", caller, row)
    return ApiKeyCreated(**_view(row).model_dump(), key=key)


def list_api_keys(session: Session, page: PageQuery) -> Page[ApiKey]:
    """All keys, revoked ones too, oldest first."""
    rows, next_token = paginate(session, select(ApiKeyRow), [ApiKeyRow.created_at, ApiKeyRow.id], "api-keys", page)
    return Page(items=[_view(row) for row in rows], next_page_token=next_token)


def revoke_api_key(session: Session, caller: Caller, settings: Settings, key_id: UUID) -> None:
    """End a key for ever; revoking it again changes nothing.

    Raises `ApiKeyNotFound`, and `LastAdminKey` where nobody could administer the server any more.
    """
    active = _lock_active_keys(session)
    row = session.get(ApiKeyRow, key_id)
    if row is None:
        raise ApiKeyNotFound(f"there is no API key {key_id}; GET /v1/api-keys lists them")
    if row.revoked_at is None:
        if settings.admin_key is None:
            _refuse_last_admin(active, row)
        row.revoked_at = database_now(session)
        _log(session, "api-key.revoked", caller, row)


def _lock_active_keys(session: Session) -> Sequence[ApiKeyRow]:
    """Lock all active keys, not one alone, so that two revocations at once cannot each count on the other's key."""
    return session.scalars(select(ApiKeyRow).where(_ACTIVE).order_by(ApiKeyRow.id).with_for_update()).all()


def _refuse_last_admin(active: Sequence[ApiKeyRow], going: ApiKeyRow) -> None:
    admins = [row for row in active if "admin" in row.scopes]
    if admins == [going]:
        raise LastAdminKey(
            'this is the last active key with the scope "admin"; create another one first, or set FORGETTERY_ADMIN_KEY'
        )


def _log(session: Session, event: str, caller: Caller, row: ApiKeyRow) -> None:
    details = {"key": str(row.id), "scopes": row.scopes}
    log.append(session, event, by=caller.by, details=details)


def _view(row: ApiKeyRow) -> ApiKey:
    return ApiKey.model_validate(row, from_attributes=True)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _same(presented: str, secret: str) -> bool:
    # Of hashes, so that the comparison tells not even the length of the secret.
    return hmac.compare_digest(_hash(presented), _hash(secret))
