"""The `Idempotency-Key` header: a request sent twice starts its work once and gets the same answer twice.

The first answer is kept in the very transaction that starts the work, by caller and key, until housekeeping drops it. While that
transaction runs, a second request with the key is refused: on PostgreSQL by an advisory lock, on SQLite, which only
one server process uses, by a set in memory. A request that the set misses waits for SQLite's write lock and then finds
the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.api.bodies import NAMING_SAMPLES
from app.api.prefix import root_path
from app.api.resources import ResourcesDependency
from app.database.engine import Database, database_now
from app.database.tables import IdempotencyRow
from app.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from app.operations.administration.housekeeping import IDEMPOTENCY_KEPT
from app.operations.caller import Caller

REPLAYED_HEADER = "Idempotency-Replayed"


@dataclass(frozen=True)
class Idempotency:
    """The key of one request, None without the header, and the digest of what it asks."""

    key: str | None
    digest: bytes
    in_use: set[tuple[str, str]]

    def replayed(self, database: Database, caller: Caller) -> Response | None:
        """The answer that was kept, None if there is none.

        For routes that refuse some requests before they write: what was accepted once is not refused when it is sent
        again. Raises `IdempotencyKeyReused`.
        """
        if self.key is None:
            return None
        with database.reading() as session:
            kept = session.get(IdempotencyRow, (caller.by.actor, self.key))
            return self._replay(kept) if kept is not None and _is_fresh(kept, session) else None

    def once(self, session: Session, caller: Caller, work: Callable[[], Response]) -> Response:
        """Do the work and keep its answer in the same transaction, or give the answer that was kept.

        Raises `IdempotencyKeyReused` for a key that came with another request, `IdempotencyKeyInUse` while the first
        one runs.
        """
        if self.key is None:
            return work()
        with self._alone(session, caller.by.actor, self.key):
            kept = session.get(IdempotencyRow, (caller.by.actor, self.key))
            if kept is not None and _is_fresh(kept, session):
                return self._replay(kept)
            if kept is not None:
                session.delete(kept)
                session.flush()
            answer = work()
            session.add(self._kept(caller.by.actor, self.key, answer, database_now(session)))
            return answer

    @contextmanager
    def _alone(self, session: Session, actor: str, key: str) -> Iterator[None]:
        if (actor, key) in self.in_use or not _locked(session, actor, key):
            raise IdempotencyKeyInUse("the first request with this key is still running; repeat this one shortly")
        self.in_use.add((actor, key))
        try:
            yield
        finally:
            self.in_use.discard((actor, key))

    def _replay(self, kept: IdempotencyRow) -> Response:
        if kept.request_digest != self.digest:
            raise IdempotencyKeyReused(
                "this key came with another path or body before; use a new key for a new request"
            )
        headers = {REPLAYED_HEADER: "true"} | ({"Location": kept.location} if kept.location else {})
        return Response(kept.body, kept.status, headers, "application/json")

    def _kept(self, actor: str, key: str, answer: Response, now: datetime) -> IdempotencyRow:
        return IdempotencyRow(
            caller=actor,
            key=key,
            request_digest=self.digest,
            status=answer.status_code,
            location=answer.headers.get("location"),
            body=bytes(answer.body),
            created_at=now,
        )


async def _idempotency(
    request: Request,
    held: ResourcesDependency,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="Any unique text, for example a UUID: sent again with the same body within 24 hours, it gives the "
            "first answer again and starts nothing.",
        ),
    ] = None,
) -> Idempotency:
    path = request.scope["path"].removeprefix(root_path(request.scope))  # whichever way it came
    asked = f"{request.method} {path}?{request.url.query}\n".encode()
    content = b"" if idempotency_key is None else await request.body()
    digest = await run_in_threadpool(_digest, asked, content)
    return Idempotency(idempotency_key, digest, held.idempotency_keys_in_use)


def _digest(asked: bytes, content: bytes) -> bytes:
    return hashlib.sha256(asked + _in_one_order(content)).digest()


def _in_one_order(content: bytes) -> bytes:
    """The body with its names in one order: bodies that say the same are the same, whatever order a library writes."""
    if not NAMING_SAMPLES.hold(content):
        return content  # no request, and its parsing would keep others waiting
    try:
        return json.dumps(json.loads(content), sort_keys=True).encode()
    except (ValueError, RecursionError):
        return content  # no JSON, which the route refuses


IdempotencyDependency = Annotated[Idempotency, Depends(_idempotency)]


def _is_fresh(kept: IdempotencyRow, session: Session) -> bool:
    return kept.created_at > database_now(session) - IDEMPOTENCY_KEPT


def _locked(session: Session, actor: str, key: str) -> bool:
    if session.get_bind().dialect.name == "sqlite":
        return True
    number = int.from_bytes(hashlib.sha256(f"idempotency {actor} {key}".encode()).digest()[:8], signed=True)
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(number))))
