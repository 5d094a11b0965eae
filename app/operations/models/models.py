"""Models: create, look at, list, delete."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.audit import log
from app.contract.lists import Page
from app.contract.models import Model, ModelAndJob, ModelCreate
from app.database.engine import Database, database_now
from app.database.tables import ModelRow, VersionRow
from app.datasets import catalogue
from app.errors import ModelExists
from app.operations.caller import Caller
from app.operations.lookups import find_model, lock_model, refuse_while_jobs_wait, waiting_jobs
from app.operations.models import versions
from app.operations.pages import PageQuery, paginate
from app.operations.training import tasks, train
from app.operations.verifying import observation_files, reference_files, verifications
from app.operations.views import job_view, model_view, model_views
from app.settings import Settings


def check_dataset(settings: Settings, body: ModelCreate) -> None:
    """Raise `DatasetNotFound` or `DatasetUnavailable`; may ask a mirror, so call it before any transaction."""
    catalogue.ensure_obtainable(catalogue.find(body.dataset), settings)


def create_model(session: Session, caller: Caller, body: ModelCreate) -> ModelAndJob:
    """Take a name for a model and queue the training of its first version.

    A name whose first training was cancelled or failed is free again, and the new model takes its place. Raises
    `ModelExists`, also for the name of a deleted model, and what `tasks.resolve` and `tasks.check_training` do.
    """
    learning = tasks.resolve(body.learning, body.architecture, catalogue.find(body.dataset))
    tasks.check_training(learning, body.training)
    model = _of_free_name(session, body.name)
    model.dataset = body.dataset
    model.architecture = body.architecture
    model.learning = learning
    model.training = body.training
    model.created_at = database_now(session)
    session.add(model)
    session.flush()
    job = train.submit(session, caller, model, body.training)
    log.append(
        session,
        "model.created",
        by=caller.by,
        model=model.name,
        details={"dataset": model.dataset, "architecture": body.architecture.type},
    )
    train.log_requested(session, caller, model, job)
    return ModelAndJob(model=model_view(session, model), job=job_view(job, model.name))


def _of_free_name(session: Session, name: str) -> ModelRow:
    """A new model, or the model of this name whose first training came to nothing; its old jobs stay with it."""
    model = session.scalar(select(ModelRow).where(ModelRow.name == name).with_for_update())
    if model is None:
        return ModelRow(id=uuid4(), name=name)
    if model.deleted_at is None and not session.scalar(select(exists().where(VersionRow.model_id == model.id))):
        jobs = waiting_jobs(session, model.id)
        if not jobs:
            return model
        raise ModelExists(
            f'a model named "{name}" is waiting for its first version; its name is free again once job {jobs[0].id} '
            "is cancelled: wait, or choose another"
        )
    raise ModelExists(f'a model named "{name}" exists or existed; names are never used again: choose another')


def get_model(session: Session, name: str) -> Model:
    """The model of this name; raises `ModelNotFound`, or `ModelGone` for a deleted one."""
    return model_view(session, find_model(session, name))


def list_models(session: Session, page: PageQuery) -> Page[Model]:
    """All models that were not deleted, by name."""
    living = select(ModelRow).where(ModelRow.deleted_at.is_(None))
    rows, next_token = paginate(session, living, [ModelRow.name], "models", page)
    return Page(items=model_views(session, rows), next_page_token=next_token)


def delete_model(database: Database, settings: Settings, caller: Caller, name: str) -> None:
    """Retire the name for ever and destroy every version's and every reference's weights.

    Nothing is reachable any more once the first transaction has committed; a crash after it leaves weights that
    housekeeping destroys. Raises `JobRunning` while jobs of the model wait or run.
    """
    with database.writing() as session:
        model = lock_model(session, name)
        refuse_while_jobs_wait(session, model)
        model.deleted_at = database_now(session)
        model.serving_version = None
        quarantined = versions.quarantine(session, versions.available_versions(model))
        log.append(session, "model.deleted", by=caller.by, model=model.name)
        versions.log_quarantined(session, model, quarantined, by=caller.by)
    with database.writing() as session:
        verifications.cancel_all(session, model.id)
    observation_files.destroy_outdated(database, settings)
    reference_files.purge_all(database, settings, model.id)
    versions.purge_all(database, settings, model.id, by=caller.by)
