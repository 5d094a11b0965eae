"""The audit log: search it, verify it."""

from __future__ import annotations

import json
from itertools import islice
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import log
from app.audit.triggers import guard_problems
from app.contract.audit import AuditEvent, AuditVerification
from app.contract.lists import Page
from app.database.tables import AuditEntryRow
from app.operations.administration.tables_against_log import contradictions
from app.operations.administration.told_by_log import Told
from app.operations.pages import PageQuery, paginate


def list_events(
    session: Session,
    page: PageQuery,
    *,
    model: str | None = None,
    event: str | None = None,
    forget_request: UUID | None = None,
) -> Page[AuditEvent]:
    """The entries of the log in its own order, of one model, event or forget request only if asked."""
    statement = select(AuditEntryRow)
    if model is not None:
        statement = statement.where(AuditEntryRow.model == model)
    if event is not None:
        statement = statement.where(AuditEntryRow.event == event)
    if forget_request is not None:
        statement = statement.where(AuditEntryRow.forget_request == forget_request)
    rows, next_token = paginate(session, statement, [AuditEntryRow.leaf_index], "audit-events", page)
    return Page(items=[_view(row) for row in rows], next_page_token=next_token)


def verify(session: Session) -> AuditVerification:
    """Recompute the whole log from the bytes it holds, look after what guards it, and hold the other tables against it.

    Everything is read in the one state of the database that the session sees. The tables are left out if the log itself
    has more faults than are listed: it is then unknown what the log says.
    """
    told = Told()
    found = log.verify(session, told.hear)
    missing = list(guard_problems(session))
    problems = [*found.problems[: log.MAX_PROBLEMS - len(missing)], *missing]
    problems += islice(contradictions(session, told), log.MAX_PROBLEMS - len(problems))
    return found.model_copy(update={"ok": not problems, "problems": problems})


def _view(row: AuditEntryRow) -> AuditEvent:
    return AuditEvent(
        index=row.leaf_index,
        at=row.at,
        event=row.event,
        actor=row.actor,
        request_id=row.request_id,
        model=row.model,
        version=row.version,
        forget_request=row.forget_request,
        details=json.loads(row.entry).get("details", {}),
        leaf_hash=row.leaf_hash.hex(),
    )
