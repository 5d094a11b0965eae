"""A job's changes as server-sent events, by looking at its row a few times a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool

from app.api.resources import Resources
from app.contract.jobs import Job
from app.errors import Unavailable
from app.operations.administration import jobs

_LOOK_SECONDS = 0.25
_KEEPALIVE_SECONDS = 15.0
_ENDED = {"succeeded", "failed", "cancelled"}


def look(held: Resources, job_id: UUID) -> tuple[Job, int]:
    """The job and its revision, which is the id of its event; raises `JobNotFound`."""
    with held.database.reading() as session:
        return jobs.get_job_and_revision(session, job_id)


def was_told_all(job: Job, revision: int, told: int | None) -> bool:
    """Whether the job has ended and a client that knows the event `told` knows its last state."""
    return job.status in _ENDED and told is not None and told >= revision


async def changes(held: Resources, job_id: UUID, told: int | None) -> AsyncIterator[bytes]:
    """Every change after the event `told`; ends with the job's last state, or when the server stops.

    Comments keep proxies from closing a quiet connection. A database that is busy for a moment ends nothing.
    """
    spoke_at = time.monotonic()
    while not held.stopping.is_set():
        seen = await _look_patiently(held, job_id)
        if seen is not None and seen[1] != told:
            job, told = seen
            yield format_sse_event(event="job", data_str=job.model_dump_json(), id=str(told))
            spoke_at = time.monotonic()
        if seen is not None and seen[0].status in _ENDED:
            return
        if time.monotonic() - spoke_at > _KEEPALIVE_SECONDS:
            yield KEEPALIVE_COMMENT
            spoke_at = time.monotonic()
        await asyncio.sleep(_LOOK_SECONDS)


async def _look_patiently(held: Resources, job_id: UUID) -> tuple[Job, int] | None:
    try:
        return await run_in_threadpool(look, held, job_id)
    except Unavailable:
        return None
