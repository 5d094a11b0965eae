"""Routes of jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.api import examples
from app.api.authentication import AnyCaller, Reader
from app.api.headers import json_answer
from app.api.idempotency import IdempotencyDependency
from app.api.job_events import changes, look, was_told_all
from app.api.openapi import Responses, answers
from app.api.parameters import JobInPath, ModelFilter
from app.api.resources import PageParameters, ReadingSession, ResourcesDependency, WritingSession
from app.contract.jobs import Job, JobKind, JobStatus
from app.contract.lists import Page
from app.errors import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidPageToken,
    JobFinished,
    JobNotFound,
    PayloadTooLarge,
)
from app.operations.administration import jobs

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_EVENTS: Responses = {
    200: {
        "description": "Events named `job`; `data` is the job as JSON, `id` rises with every change.",
        "content": {"text/event-stream": {"example": 'event: job\ndata: {"status": "running", …}\nid: 7\n\n'}},
    },
    204: {"description": "The job has ended, and `Last-Event-ID` names its last event: do not reconnect."},
}


@router.get("", summary="List the jobs", responses=answers(200, examples.page(examples.JOB), InvalidPageToken))
def list_jobs(
    _: Reader,
    session: ReadingSession,
    page: PageParameters,
    status: Annotated[JobStatus | None, Query(description="In this status only.")] = None,
    kind: Annotated[JobKind | None, Query(description="Only jobs of this kind.")] = None,
    model: ModelFilter = None,
) -> Page[Job]:
    """All jobs in the order in which they were queued."""
    return jobs.list_jobs(session, page, status=status, kind=kind, model=model)


@router.get("/{job_id}", summary="Look at a job", responses=answers(200, examples.JOB, JobNotFound))
def get_job(_: Reader, session: ReadingSession, job_id: JobInPath) -> Job:
    """How far the job is, what came of it, or the problem that ended it."""
    return jobs.get_job(session, job_id)


@router.get(
    "/{job_id}/events",
    summary="Watch a job",
    response_class=StreamingResponse,
    responses=answers(200, None, JobNotFound) | _EVENTS,
)
async def watch_job(
    _: Reader,
    held: ResourcesDependency,
    job_id: JobInPath,
    last_event_id: Annotated[
        str | None, Header(description="Go on after this event.", max_length=20, pattern=r"^[0-9]+$")
    ] = None,
) -> Response:
    """Server-sent events: the job now, then after every change, up to its last state, with which the stream ends."""
    job, revision = await run_in_threadpool(look, held, job_id)
    told = int(last_event_id) if last_event_id is not None else None
    if was_told_all(job, revision, told):
        return Response(status_code=204)
    # Proxies (nginx by this header) must not collect events before they pass them on.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(changes(held, job_id, told), headers=headers)


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    summary="Cancel a job",
    response_model=Job,
    responses=answers(
        202,
        examples.JOB,
        JobNotFound,
        JobFinished,
        PayloadTooLarge,
        IdempotencyKeyReused,
        IdempotencyKeyInUse,
    ),
)
def cancel_job(
    caller: AnyCaller, idempotency: IdempotencyDependency, session: WritingSession, job_id: JobInPath
) -> Response:
    """Ask the job to stop: within seconds it does, and nothing of it stays. Needs the scope that starts such jobs."""

    def work() -> Response:
        return json_answer(jobs.cancel_job(session, caller, job_id), 202, {"Location": f"/v1/jobs/{job_id}"})

    return idempotency.once(session, caller, work)
