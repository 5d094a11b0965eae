"""Routes of forgetting."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.api import examples
from app.api.authentication import Forgetter, Reader
from app.api.bodies import ForgetBody, described
from app.api.headers import accepted, json_answer
from app.api.idempotency import IdempotencyDependency
from app.api.openapi import Responses, answers, answers_to_body
from app.api.parameters import ForgetRequestInPath, ModelFilter, ModelInPath
from app.api.resources import PageParameters, ReadingSession, SettingsResource, WritingSession
from app.contract.forgetting import ForgetCreate, ForgetPlan, ForgetRequest
from app.contract.jobs import ForgetStatus
from app.contract.lists import Page
from app.errors import (
    AlreadyForgotten,
    ClassNotFound,
    Conflict,
    ForgetRequestNotFound,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidPageToken,
    ModelGone,
    ModelNotFound,
    NoServingVersion,
    NotApplicable,
    NothingLeft,
    SampleNotFound,
    TaskNotFound,
)
from app.operations.forgetting import forget

router = APIRouter(prefix="/v1", tags=["forget"])

_DRY_RUN: Responses = {
    200: {
        **answers(200, examples.FORGET_PLAN)[200],
        "model": ForgetPlan,
        "description": "With `dry_run`: what would happen and cost; nothing was changed.",
    }
}


@router.post(
    "/models/{model}/forget",
    status_code=202,
    summary="Forget classes, tasks, part of a task, or samples",
    response_model=ForgetRequest,
    responses=_DRY_RUN
    | answers_to_body(
        202,
        examples.FORGET_REQUEST,
        ModelNotFound,
        ModelGone,
        ClassNotFound,
        TaskNotFound,
        SampleNotFound,
        AlreadyForgotten,
        NothingLeft,
        NoServingVersion,
        Conflict,
        NotApplicable,
        IdempotencyKeyReused,
        IdempotencyKeyInUse,
    ),
    openapi_extra=described(ForgetCreate),
)
def start_forgetting(
    *,
    caller: Forgetter,
    model: ModelInPath,
    body: ForgetBody,
    idempotency: IdempotencyDependency,
    session: WritingSession,
    settings: SettingsResource,
) -> Response:
    """Queue the request behind earlier ones on the model; its verdict and report come with its job's end.

    If the result passes the effect gate it serves, and every version that still remembers is quarantined at once.
    """
    if body.dry_run:
        return json_answer(forget.plan(session, model, body, home=settings.home), 200)

    def work() -> Response:
        request = forget.submit(session, caller, model, body, home=settings.home)
        return accepted(request, request.job.id)

    return idempotency.once(session, caller, work)


@router.get(
    "/forget-requests",
    summary="List the forget requests",
    responses=answers(
        200,
        examples.page(examples.COMPLETED_FORGET_REQUEST, examples.TASK_FORGET_REQUEST),
        InvalidPageToken,
    ),
)
def list_forget_requests(
    _: Reader,
    session: ReadingSession,
    page: PageParameters,
    model: ModelFilter = None,
    status: Annotated[ForgetStatus | None, Query(description="In this status only.")] = None,
) -> Page[ForgetRequest]:
    """All requests in the order in which they were received."""
    return forget.list_forget_requests(session, page, model=model, status=status)


@router.get(
    "/forget-requests/{forget_request_id}",
    summary="Look at a forget request",
    responses=answers(200, examples.COMPLETED_FORGET_REQUEST, ForgetRequestNotFound),
)
def get_forget_request(_: Reader, session: ReadingSession, forget_request_id: ForgetRequestInPath) -> ForgetRequest:
    """What was asked, what came of it: status, verdict, claim, and the report with before and after."""
    return forget.get_forget_request(session, forget_request_id)
