"""Following a job: server-sent events while they come, polling when they do not."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from uuid import UUID

from app.client.connection import Connection
from app.contract.jobs import Job
from app.errors import Unavailable

_POLL_SECONDS = 0.5
_SILENCE_SECONDS = 45
"""Seconds of silence after which nobody is there: the server sends a comment every 15 seconds."""


class JobEvent(NamedTuple):
    """One state of a job; `id` resumes the events after it."""

    id: str | None
    job: Job


def ended(job: Job) -> bool:
    """Whether nothing more will happen to the job."""
    return job.status in {"succeeded", "failed", "cancelled"}


def events(connection: Connection, job_id: UUID, last_event_id: str | None) -> Iterator[JobEvent]:
    """The job's states as the server sends them, until it ends them."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    path = f"/v1/jobs/{job_id}/events"
    with connection.stream(path, headers=headers, read_timeout=_SILENCE_SECONDS) as response:
        for event_id, data in _server_sent(response.iter_lines()):
            yield JobEvent(event_id, Job.model_validate_json(data))


def follow(connection: Connection, job_id: UUID, patience: float) -> Iterator[Job]:
    """The job's states up to its last; raises Unavailable when the server is out of reach for `patience` seconds."""
    last_event_id: str | None = None
    while True:
        for event in _events_while_connected(connection, job_id, last_event_id):
            last_event_id = event.id
            yield event.job
            if ended(event.job):
                return
        job = _polled(connection, job_id, patience)
        yield job
        if ended(job):
            return
        time.sleep(_POLL_SECONDS)


def _events_while_connected(connection: Connection, job_id: UUID, last_event_id: str | None) -> Iterator[JobEvent]:
    try:
        yield from events(connection, job_id, last_event_id)
    except Unavailable:
        return  # the poll that follows says whether the server is gone or only its events are


def _polled(connection: Connection, job_id: UUID, patience: float) -> Job:
    give_up_at = time.monotonic() + patience
    while True:
        try:
            return connection.read(Job, f"/v1/jobs/{job_id}")
        except Unavailable:
            if time.monotonic() > give_up_at:
                raise
        time.sleep(_POLL_SECONDS)


def _server_sent(lines: Iterable[str]) -> Iterator[tuple[str | None, str]]:
    """Events of a stream as (last event id, data); https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    event_id: str | None = None
    data: list[str] = []
    for line in lines:
        if not line and data:
            yield event_id, "\n".join(data)
            data = []
            continue
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif field == "id":
            event_id = value.removeprefix(" ")
