"""Routes of the audit log."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.responses import PlainTextResponse, Response

from app.api import examples
from app.api.authentication import Auditor
from app.api.openapi import Responses, answers
from app.api.parameters import ModelFilter
from app.api.resources import PageParameters, ReadingSession, ResourcesDependency
from app.audit import checkpoints
from app.contract.audit import AuditConsistency, AuditEvent, AuditKeys, AuditProof, AuditVerification
from app.contract.lists import Page
from app.errors import AuditEntryNotFound, CheckpointNotFound, IntegrityViolation, InvalidPageToken, SigningKeysMissing
from app.operations.administration import audit, log_proofs, signing_keys

router = APIRouter(prefix="/v1/audit", tags=["audit"])

_NOTE: Responses = {
    200: {
        "content": {
            "text/plain": {
                "example": "example.org/forgettery\n5\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u2014 example.org/forgettery Az3…\n"
            }
        }
    }
}


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
    "/events/{index}/proof",
    summary="Prove that an entry is in the log",
    responses=answers(200, examples.AUDIT_PROOF, AuditEntryNotFound, CheckpointNotFound, IntegrityViolation),
)
def get_audit_proof(
    _: Auditor, session: ReadingSession, index: Annotated[int, Path(ge=0, lt=2**53, description="Index of the entry.")]
) -> AuditProof:
    """The hashes that lead from the entry to the root of the newest checkpoint, the checkpoint, and the entry's bytes."""
    return log_proofs.inclusion(session, index)


@router.get(
    "/consistency",
    summary="Prove that the log begins with an earlier state",
    responses=answers(200, examples.AUDIT_CONSISTENCY, IntegrityViolation),
)
def get_audit_consistency(
    _: Auditor,
    session: ReadingSession,
    old_size: Annotated[int, Query(alias="from", ge=1, lt=2**53, description="Size of the earlier state.")],
    size: Annotated[int, Query(alias="to", ge=1, lt=2**53, description="Size of the later state.")],
) -> AuditConsistency:
    """The hashes that show that nothing was changed below the earlier size."""
    return log_proofs.consistency(session, old_size, size)


@router.get(
    "/checkpoint",
    summary="The newest checkpoint of the log",
    response_class=PlainTextResponse,
    responses=answers(200, None, CheckpointNotFound) | _NOTE,
)
def get_audit_checkpoint(_: Auditor, session: ReadingSession) -> Response:
    """Size and root of the log, signed (a C2SP tlog-checkpoint): keep it, and nobody can shorten or rewrite the log unseen."""
    return Response(checkpoints.newest(session).note, media_type="text/plain; charset=utf-8")


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
