"""Answers that are more than a body."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel
from starlette.responses import Response


def accepted(body: BaseModel, job_id: UUID) -> Response:
    """202: the work was queued, and this job tells how it goes."""
    return json_answer(body, 202, {"Location": f"/v1/jobs/{job_id}"})


def json_answer(body: BaseModel, status: int, headers: dict[str, str] | None = None) -> Response:
    """The body as JSON; made here and not by the framework where its exact bytes are kept."""
    return Response(body.model_dump_json(), status, headers, "application/json")
