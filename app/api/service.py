"""Routes that tell whether the server works, and its figures."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.api import examples
from app.api.authentication import Reader
from app.api.openapi import Responses, answers, open_route
from app.api.problems import problem_response
from app.api.resources import ReadingSession, ResourcesDependency
from app.contract.service import Health, Readiness
from app.errors import NotReady
from app.operations.administration import figures, readiness

router = APIRouter(tags=["service"])

_TEXT: Responses = {200: {"content": {"text/plain": {"example": 'forgettery_jobs{status="running"} 1.0\n'}}}}


@router.get("/healthz", summary="Is the process alive?", responses=open_route({"status": "ok"}))
async def get_health() -> Health:
    """Answers as long as the process does; asks for no key."""
    return Health()


@router.get(
    "/readyz",
    summary="Does every part work?",
    response_model=Readiness,
    responses=open_route(examples.READINESS, NotReady),
)
async def get_readiness(request: Request, held: ResourcesDependency) -> Readiness | Response:
    """Database, store, worker and predictor; 503 with the same `checks` if one does not work. Asks for no key."""
    alive = held.predictor.alive
    checks = await run_in_threadpool(readiness.check, held.database, held.settings.home, predictor_alive=alive)
    failing = [part for part, state in checks.items() if state != readiness.OK]
    if not failing:
        return Readiness(checks=checks)
    error = NotReady(f"{', '.join(failing)} not ready yet; `checks` says how each part is")
    return problem_response(error, request.scope, checks=checks)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
    responses=answers(200, None) | _TEXT,
)
def get_metrics(_: Reader, session: ReadingSession, held: ResourcesDependency) -> Response:
    """Requests and predictions of this process, jobs and verdicts of the database, in Prometheus's text format."""
    content = held.metrics.render(figures.look(session))
    return Response(content, media_type=CONTENT_TYPE_PLAIN_1_0_0)
