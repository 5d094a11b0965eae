"""Routes of models."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from app.api import examples
from app.api.authentication import Administrator, Reader, Trainer
from app.api.bodies import ModelCreateBody, ServingBody, TrainBody, described
from app.api.headers import accepted
from app.api.idempotency import IdempotencyDependency
from app.api.openapi import answers, answers_to_body
from app.api.parameters import ModelInPath
from app.api.resources import (
    DatabaseResource,
    PageParameters,
    ReadingSession,
    SettingsResource,
    WritingSession,
)
from app.contract.lists import Page
from app.contract.models import Model, ModelAndJob, ModelCreate
from app.contract.training import TrainRequest
from app.contract.versions import ServingRequest
from app.errors import (
    ClassForgotten,
    ClassNotFound,
    Conflict,
    DatasetNotFound,
    DatasetUnavailable,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidPageToken,
    JobRunning,
    ModelExists,
    ModelGone,
    ModelNotFound,
    NoServingVersion,
    NotApplicable,
    StorageUnavailable,
    VersionNotFound,
    VersionRemembers,
)
from app.operations.models import models, versions
from app.operations.training import train

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.post(
    "",
    status_code=202,
    summary="Create a model and train its first version",
    response_model=ModelAndJob,
    responses=answers_to_body(
        202,
        examples.MODEL_AND_JOB,
        ModelExists,
        DatasetNotFound,
        ClassNotFound,
        NotApplicable,
        DatasetUnavailable,
        IdempotencyKeyReused,
        IdempotencyKeyInUse,
    ),
    openapi_extra=described(ModelCreate),
)
def create_model(
    *,
    caller: Trainer,
    body: ModelCreateBody,
    idempotency: IdempotencyDependency,
    session: WritingSession,
    database: DatabaseResource,
    settings: SettingsResource,
) -> Response:
    """Take the name for ever and queue the training; follow the job at `Location`. The first version always serves.

    With a `learning.mode` of tasks they are learned one after the other; the answer names them all.
    """
    if (replay := idempotency.replayed(database, caller)) is not None:
        return replay
    models.check_dataset(settings, body)

    def work() -> Response:
        made = models.create_model(session, caller, body)
        return accepted(made, made.job.id)

    return idempotency.once(session, caller, work)


@router.get(
    "",
    summary="List the models",
    responses=answers(200, examples.page(examples.MODEL, examples.TASK_MODEL), InvalidPageToken),
)
def list_models(_: Reader, session: ReadingSession, page: PageParameters) -> Page[Model]:
    """All models that were not deleted, by name."""
    return models.list_models(session, page)


@router.get("/{model}", summary="Look at a model", responses=answers(200, examples.MODEL, ModelNotFound, ModelGone))
def get_model(_: Reader, session: ReadingSession, model: ModelInPath) -> Model:
    """What the model learned from, which version serves, what it has forgotten."""
    return models.get_model(session, model)


@router.post(
    "/{model}/train",
    status_code=202,
    summary="Train a model further",
    response_model=ModelAndJob,
    responses=answers_to_body(
        202,
        examples.MODEL_AND_JOB,
        ModelNotFound,
        ModelGone,
        ClassNotFound,
        ClassForgotten,
        NoServingVersion,
        Conflict,
        NotApplicable,
        DatasetUnavailable,
        IdempotencyKeyReused,
        IdempotencyKeyInUse,
    ),
    openapi_extra=described(TrainRequest),
)
def train_model(
    *,
    caller: Trainer,
    model: ModelInPath,
    body: TrainBody,
    idempotency: IdempotencyDependency,
    session: WritingSession,
    database: DatabaseResource,
    settings: SettingsResource,
) -> Response:
    """Queue a training run on what the model has not forgotten, or further `tasks`; forgotten classes stay refused."""
    if (replay := idempotency.replayed(database, caller)) is not None:
        return replay
    train.refuse_relearning(database, caller, model, body, home=settings.home)

    def work() -> Response:
        made = train.continue_training(session, caller, model, body)
        return accepted(made, made.job.id)

    return idempotency.once(session, caller, work)


@router.put(
    "/{model}/serving",
    summary="Choose the serving version",
    responses=answers_to_body(
        200, examples.MODEL, ModelNotFound, ModelGone, VersionNotFound, VersionRemembers, JobRunning
    ),
    openapi_extra=described(ServingRequest),
)
def set_serving_version(caller: Trainer, model: ModelInPath, body: ServingBody, session: WritingSession) -> Model:
    """Let another available version answer from now on; one that was quarantined or purged never can."""
    return versions.set_serving(session, caller, model, body.version)


@router.delete(
    "/{model}",
    status_code=204,
    summary="Delete a model",
    responses=answers(204, None, ModelNotFound, ModelGone, JobRunning, StorageUnavailable),
)
def delete_model(
    caller: Administrator, model: ModelInPath, database: DatabaseResource, settings: SettingsResource
) -> None:
    """Destroy the weights of all its versions and retire its name; the audit log keeps its events."""
    models.delete_model(database, settings, caller, model)
