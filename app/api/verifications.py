"""Routes of verifications."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.api import examples
from app.api.authentication import Forgetter, Reader
from app.api.bodies import VerifyBody, described
from app.api.headers import accepted
from app.api.idempotency import IdempotencyDependency
from app.api.openapi import answers, answers_to_body
from app.api.parameters import ModelFilter, ModelInPath, VerificationInPath, VersionInPath, WholeNumber
from app.api.resources import PageParameters, ReadingSession, WritingSession
from app.contract.lists import Page
from app.contract.verifying import Depth, Verification, VerifyCreate
from app.errors import (
    ForgetRequestNotFound,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidPageToken,
    ModelGone,
    ModelNotFound,
    NothingForgotten,
    VerificationNotFound,
    VersionGone,
    VersionNotFound,
)
from app.operations.verifying import verifications

router = APIRouter(prefix="/v1", tags=["verifications"])


@router.post(
    "/models/{model}/versions/{number}/verify",
    status_code=202,
    summary="Verify what a version has forgotten",
    response_model=Verification,
    responses=answers_to_body(
        202,
        examples.QUEUED_VERIFICATION,
        ModelNotFound,
        ModelGone,
        VersionNotFound,
        VersionGone,
        ForgetRequestNotFound,
        NothingForgotten,
        IdempotencyKeyReused,
        IdempotencyKeyInUse,
    ),
    openapi_extra=described(VerifyCreate),
)
def verify_version(
    *,
    caller: Forgetter,
    model: ModelInPath,
    number: VersionInPath,
    body: VerifyBody,
    idempotency: IdempotencyDependency,
    session: WritingSession,
) -> Response:
    """Compare the version with the original and with retrained models, and attack it; its claim stays what it is.

    Its job waits for the retrained models that are missing; one that fails leaves the verdict inconclusive.
    """

    def work() -> Response:
        verification = verifications.submit(session, caller, model, number, body)
        return accepted(verification, verification.job.id)

    return idempotency.once(session, caller, work)


@router.get(
    "/verifications",
    summary="List the verifications",
    responses=answers(200, examples.page(examples.VERIFICATION), InvalidPageToken),
)
def list_verifications(
    *,
    _: Reader,
    session: ReadingSession,
    page: PageParameters,
    model: ModelFilter = None,
    version: Annotated[
        WholeNumber | None, Query(ge=1, lt=2**31, description="Only verifications of this version.")
    ] = None,
    forget_request: Annotated[UUID | None, Query(description="Only verifications of what this request forgot.")] = None,
    depth: Annotated[Depth | None, Query(description="Only verifications of this depth.")] = None,
) -> Page[Verification]:
    """All verifications in the order in which they were asked for, those of every forget request among them."""
    return verifications.list_verifications(
        session, page, model=model, version=version, forget_request=forget_request, depth=depth
    )


@router.get(
    "/verifications/{verification_id}",
    summary="Look at a verification",
    responses=answers(200, examples.VERIFICATION, VerificationNotFound),
)
def get_verification(_: Reader, session: ReadingSession, verification_id: VerificationInPath) -> Verification:
    """What was verified, the verdict, the claim that the figures support, and the report with all criteria."""
    return verifications.get(session, verification_id)
