"""Jobs, their progress and their status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import (
    Field,
)

from app.contract.fields import Answered
from app.contract.problems import Problem

JobKind = Literal["train", "forget", "reference", "verify", "compare"]
JOB_KIND_MEANINGS: Mapping[JobKind, str] = {
    "train": "Trains a version.",
    "forget": "Carries a forget request out.",
    "reference": "Retrains a model without what is forgotten, to compare with; it never serves.",
    "verify": "Carries a verification out.",
    "compare": "Forgets by several methods and compares them; it publishes nothing.",
}
JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
JOB_STATUS_MEANINGS: Mapping[JobStatus, str] = {
    "queued": "The job waits for a worker, or for other jobs.",
    "running": "A worker computes the job.",
    "succeeded": "The job came to its end; the verdict of a forget request says whether it forgot.",
    "failed": "The job ended by an error, which `problem` tells, and had no effect.",
    "cancelled": "Somebody cancelled the job; it had no effect.",
}
ForgetStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
WORK_STATUS_MEANINGS: Mapping[ForgetStatus, str] = {
    "queued": "Its job waits for a worker, or for other jobs.",
    "running": "A worker carries it out.",
    "completed": "It was carried out, and its result holds.",
    "failed": "It ended without a result that holds; nothing was published.",
    "cancelled": "Somebody cancelled its job; nothing was published.",
}
"""What each status of a forget request or a verification means."""


class Progress(Answered):
    """How far a job is."""

    fraction: float = Field(ge=0, le=1)
    stage: str
    message: str


class Job(Answered):
    """Long work: where it stands and what came of it."""

    id: UUID
    kind: JobKind
    status: JobStatus
    model: str
    progress: Progress
    attempts: int = Field(description="How often the work was started.")
    result: dict[str, Any] | None
    problem: Problem | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
