"""The composition root: the application, its parts in the order in which they start, and the server around it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute

from app import __version__, logs
from app.api import (
    api_keys,
    audit,
    catalogues,
    compare,
    forget,
    jobs,
    models,
    pages,
    predict,
    service,
    verifications,
    versions,
)
from app.api.body_limit import BodyLimit
from app.api.content_encoding import ContentEncoding
from app.api.cors import CrossOrigin
from app.api.head import HeadAsGet
from app.api.metrics import Metrics
from app.api.openapi import TAGS, install_openapi
from app.api.prefix import Prefix
from app.api.problems import install_problem_handlers
from app.api.request_context import RequestContext
from app.api.resources import Resources
from app.database.engine import Database
from app.prediction.client import Predictor
from app.prediction.serving import ServedVersions
from app.service import worker
from app.service.home import keep_private, open_home
from app.service.precautions import doubts
from app.service.server import run_server
from app.service.supervision import supervised_worker
from app.settings import Settings

__all__ = ["create_app", "serve", "work"]

_log = structlog.stdlib.get_logger(__name__)
_DESCRIPTION = (
    "Train classifiers, make them forget on request, measure that they forgot, and keep the evidence. "
    "Errors are problem documents (RFC 9457); long work is a job; lists come in pages."
)
_ROUTERS = [
    predict.router,  # routes are tried in their order, and this is asked most
    pages.router,
    service.router,
    catalogues.router,
    models.router,
    versions.router,
    forget.router,
    compare.router,
    verifications.router,
    jobs.router,
    audit.router,
    api_keys.router,
]


def create_app(settings: Settings, database: Database | None = None, *, processes: bool = True) -> FastAPI:
    """The application; its parts start and stop with its lifespan.

    `database`: one that is open already and stays so; otherwise the application opens the home by itself. Without
    `processes` neither predictor nor worker is started: predictions are then 503, and jobs stay queued.
    """
    metrics = Metrics()
    app = FastAPI(
        title="Forgettery",
        version=__version__,
        description=_DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        lifespan=_lifespan(settings, database, metrics, processes=processes),
    )
    app.state.stopping = threading.Event()
    app.state.root_path = settings.root_path
    install_problem_handlers(app)
    install_openapi(app)
    pages.mount_assets(app)
    for router in _ROUTERS:
        app.include_router(router)
    app.add_middleware(BodyLimit, max_body_mb=settings.max_body_mb)  # of the body as it is read
    app.add_middleware(ContentEncoding)
    app.add_middleware(BodyLimit, max_body_mb=settings.max_body_mb)  # of the body as it was sent
    app.add_middleware(RequestContext, metrics=metrics)
    app.add_middleware(HeadAsGet)  # what is added later stands further out
    if settings.allowed_origins:
        app.add_middleware(CrossOrigin, origins=settings.allowed_origins)
    app.add_middleware(Prefix, root_path=settings.root_path)  # outermost: every problem document leads somewhere
    return app


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises before it listens what `open_home` raises."""
    _prepare(settings)
    with open_home(settings) as database:
        run_server(create_app(settings, database), settings)


def work(settings: Settings) -> None:
    """Compute jobs until SIGTERM. Raises what `app.service.worker.work` raises."""
    _prepare(settings)
    worker.work(settings)


def _prepare(settings: Settings) -> None:
    keep_private()
    logs.configure(settings.log_level)
    for doubt in doubts(settings):
        _log.warning(doubt)


def _lifespan(
    settings: Settings, database: Database | None, metrics: Metrics, *, processes: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as parts:
            opened = parts.enter_context(nullcontext(database) if database else open_home(settings))
            predictor, served = Predictor(settings.home), ServedVersions(opened)
            parts.callback(served.close)
            app.state.resources = Resources(settings, opened, predictor, served, metrics, app.state.stopping)
            if processes:
                await predictor.start()
                parts.push_async_callback(predictor.stop)
                if settings.worker == "embedded":
                    await parts.enter_async_context(supervised_worker(settings))
            yield

    return lifespan


def _operation_id(route: APIRoute) -> str:
    """The function's name: what generated clients call the method."""
    return route.name
