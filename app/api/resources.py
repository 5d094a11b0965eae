"""What a route works with, handed over by the application: settings, database, sessions, predictor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Query
from sqlalchemy.orm import Session
from starlette.requests import Request

from app.api.identity_cache import IdentityCache
from app.api.metrics import Metrics
from app.api.parameters import WholeNumber
from app.database.engine import Database
from app.operations.pages import PageQuery
from app.prediction.client import Predictor
from app.prediction.serving import ServedVersions
from app.settings import Settings


@dataclass(frozen=True)
class Resources:
    """What one running application holds; `app.state.resources` from start to stop."""

    settings: Settings
    database: Database
    predictor: Predictor
    served: ServedVersions
    metrics: Metrics
    stopping: threading.Event
    """Set when the server is asked to stop: endless answers end."""
    identities: IdentityCache = field(default_factory=IdentityCache)
    idempotency_keys_in_use: set[tuple[str, str]] = field(default_factory=set)


async def resources(request: Request) -> Resources:
    """The application's resources; a coroutine, so that it costs no thread."""
    found: Resources = request.app.state.resources
    return found


ResourcesDependency = Annotated[Resources, Depends(resources)]


async def _settings(held: ResourcesDependency) -> Settings:
    return held.settings


async def _database(held: ResourcesDependency) -> Database:
    return held.database


def _reading(held: ResourcesDependency) -> Iterator[Session]:
    with held.database.reading() as session:
        yield session


def _writing(held: ResourcesDependency) -> Iterator[Session]:
    with held.database.writing() as session:
        yield session


async def _page(
    limit: Annotated[WholeNumber, Query(ge=1, le=1000, description="The most items of a page.")] = 100,
    page_token: Annotated[
        str | None,
        Query(max_length=2000, description="`next_page_token` of the page before; its filters must be sent again."),
    ] = None,
) -> PageQuery:
    return PageQuery(limit, page_token)


SettingsResource = Annotated[Settings, Depends(_settings)]
DatabaseResource = Annotated[Database, Depends(_database)]
# The scope "function" ends the dependency, and with it the transaction, before the answer is sent: no client is told
# of something that then fails to commit.
ReadingSession = Annotated[Session, Depends(_reading, scope="function")]
WritingSession = Annotated[Session, Depends(_writing, scope="function")]
PageParameters = Annotated[PageQuery, Depends(_page)]
