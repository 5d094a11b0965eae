"""Routes of the audit log."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.api import examples
from app.api.authentication import Auditor
from app.api.openapi import answers
from app.api.parameters import ModelFilter
from app.api.resources import PageParameters, ReadingSession, ResourcesDependency
from app.contract.audit import AuditEvent, AuditKeys, AuditVerification
from app.contract.lists import Page
from app.errors import InvalidPageToken, SigningKeysMissing
from app.operations.administration import audit, signing_keys

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get(
    "/events",
    summary="List the entries of the audit log",
    responses=answers(200, examples.page(examples.AUDIT_EVENT), InvalidPageToken),
)
def list_audit_events(
    _: Auditor,
    session: ReadingSession,
    page: PageParameters,
    model: ModelFilter = None,
    event: Annotated[str | None, Query(pattern=r"^[a-z.-]{1,60}$", description="Only entries of this event.")] = None,
    forget_request: Annotated[UUID | None, Query(description="Only entries of this forget request.")] = None,
) -> Page[AuditEvent]:
    """Everything that changed, in the order in which it did."""
    return audit.list_events(session, page, model=model, event=event, forget_request=forget_request)


@router.get(
    "/keys", summary="The public keys of the log", responses=answers(200, examples.AUDIT_KEYS, SigningKeysMissing)
)
def get_audit_keys(_: Auditor, held: ResourcesDependency) -> AuditKeys:
    """Every key that ever signed certificates or checkpoints; keep the answer where the server's operator cannot write."""
    return signing_keys.public(held.settings.resolved_signing_keys)


@router.get("/verify", summary="Verify the audit log", responses=answers(200, examples.AUDIT_VERIFICATION))
def verify_audit_log(_: Auditor, session: ReadingSession) -> AuditVerification:
    """Recompute every hash and compare every column; the first entry that does not hold is named first."""
    return audit.verify(session)
