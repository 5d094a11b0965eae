"""Routes of comparisons."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from app.api import examples
from app.api.authentication import Forgetter, Reader
from app.api.bodies import CompareBody, described
from app.api.headers import accepted
from app.api.idempotency import IdempotencyDependency
from app.api.openapi import Responses, answers, answers_to_body
from app.api.parameters import JobInPath, ModelInPath
from app.api.resources import DatabaseResource, SettingsResource, WritingSession
from app.contract.comparing import CompareCreate
from app.contract.jobs import Job
from app.errors import (
    AlreadyForgotten,
    ClassNotFound,
    Conflict,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    JobNotFound,
    ModelGone,
    ModelNotFound,
    NoServingVersion,
    NotApplicable,
    NothingLeft,
    SampleNotFound,
    TaskNotFound,
)
from app.operations.comparing import compare, plots

router = APIRouter(prefix="/v1", tags=["forget"])


_SVG: Responses = {
    200: {
        "description": "The plot.",
        "content": {
            "image/svg+xml": {"schema": {"type": "string"}, "example": '<svg width="640" height="400" …>…</svg>'}
        },
    }
}
_PNG: Responses = {
    200: {"description": "The plot.", "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.post(
    "/models/{model}/compare",
    status_code=202,
    summary="Compare methods on one target",
    response_model=Job,
    responses=answers_to_body(
        202,
        examples.COMPARE_JOB,
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
    openapi_extra=described(CompareCreate),
)
def compare_methods(
    *,
    caller: Forgetter,
    model: ModelInPath,
    body: CompareBody,
    idempotency: IdempotencyDependency,
    session: WritingSession,
    settings: SettingsResource,
) -> Response:
    """Queue the comparison; the job's `result` is the table. Nothing is published, and the model goes on as it is.

    Every method forgets from the version that serves when the job starts. A method that fails tells its `problem` in
    its row, and the others go on.
    """

    def work() -> Response:
        job = compare.submit(session, caller, model, body, home=settings.home)
        return accepted(job, job.id)

    return idempotency.once(session, caller, work)


@router.get(
    "/jobs/{job_id}/plot.svg",
    summary="Plot a comparison as SVG",
    response_class=Response,
    responses=answers(200, None, JobNotFound, Conflict) | _SVG,
)
def plot_svg(_: Reader, database: DatabaseResource, job_id: JobInPath) -> Response:
    """Forgetting against utility, a point for each method, beside the original and retrained models."""
    return _plot(database, job_id, "svg", "image/svg+xml")


@router.get(
    "/jobs/{job_id}/plot.png",
    summary="Plot a comparison as PNG",
    response_class=Response,
    responses=answers(200, None, JobNotFound, Conflict) | _PNG,
)
def plot_png(_: Reader, database: DatabaseResource, job_id: JobInPath) -> Response:
    """Draw the same plot in pixels."""
    return _plot(database, job_id, "png", "image/png")


def _plot(database: DatabaseResource, job_id: JobInPath, plot_format: plots.PlotFormat, media_type: str) -> Response:
    """The plot of a comparison, drawn after the database was let go."""
    with database.reading() as session:
        comparison = plots.comparison_of(session, job_id)
    return Response(plots.render(comparison, plot_format), media_type=media_type)
