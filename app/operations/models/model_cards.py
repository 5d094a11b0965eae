"""The model card of a version as it stands: what was recorded with it, and what has happened to it since."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from app.database.tables import ForgetRequestRow, ModelRow, VersionRow
from app.operations.lookups import find_model, find_version
from app.store.manifest import Manifest
from app.store.model_card import render


def card(session: Session, name: str, number: int) -> str:
    """The card of a version in any state, as Markdown; raises `ModelNotFound`, `ModelGone` and `VersionNotFound`."""
    model = find_model(session, name)
    version = find_version(session, model, number)
    return "\n".join([render(Manifest.model_validate(version.manifest)), *_record(session, model, version), ""])


def _record(session: Session, model: ModelRow, version: VersionRow) -> Iterator[str]:
    serving = ", serving" if model.serving_version == version.number else ""
    yield "## Record\n"
    yield f"- State: {version.state}{serving}."
    yield f"- Created: {_moment(version.created_at)}."
    for event, at in (("Quarantined", version.quarantined_at), ("Purged", version.purged_at)):
        if at is not None:
            yield f"- {event}: {_moment(at)}."
    yield f"- Weights: `{version.digest}`."
    requests = list(_requests(session, version))
    if requests:
        yield "\nWhat it was made to forget, the latest request first:\n"
        yield "| forget request | method | claim | verdict | received | completed |"
        yield "|---|---|---|---|---|---|"
        yield from map(_row, requests)


def _requests(session: Session, version: VersionRow) -> Iterator[ForgetRequestRow]:
    """The forget requests that made this version and the versions that it comes from."""
    ancestor: VersionRow | None = version
    while ancestor is not None:
        request = session.get(ForgetRequestRow, ancestor.forget_request_id) if ancestor.forget_request_id else None
        if request is not None:
            yield request
        ancestor = session.get(VersionRow, (version.model_id, ancestor.parent)) if ancestor.parent else None


def _row(request: ForgetRequestRow) -> str:
    cells = [
        f"`{request.id}`",
        f"`{request.method}`",
        request.claim or "none",
        request.verdict or "none",
        _moment(request.received_at),
        _moment(request.completed_at) if request.completed_at else "",
    ]
    return f"| {' | '.join(cells)} |"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
