"""Train: the first version of a model, and later ones on what it may still know."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from app import specs
from app.audit import log
from app.database.engine import Database
from app.database.tables import JobRow, ModelRow
from app.datasets import catalogue
from app.datasets.dataset_spec import DatasetSpec
from app.errors import ClassForgotten, ClassNotFound, FieldError, GateMissed, NotApplicable, NothingLeft
from app.jobs import queue
from app.operations import publishing
from app.operations.callers import Caller
from app.operations.lookups import find_model, lock_model, some
from app.operations.views import forgotten_classes, job_view, model_view
from app.schemas import ModelAndJob, TrainRequest, VersionMetrics

if TYPE_CHECKING:
    from torch import Tensor

    from app.jobs.attempt import Attempt
    from app.unlearning.architectures import Classifier
    from app.unlearning.data import Dataset
    from app.unlearning.forgetting import Unlearned

TRAINING: TypeAdapter[specs.Training] = TypeAdapter(specs.Training)


def continue_training(session: Session, caller: Caller, name: str, body: TrainRequest) -> ModelAndJob:
    """Queue one more training run on the retained data of a model.

    Raises `ClassForgotten` when a forgotten class is asked for by name, `ClassNotFound`, and `NotApplicable` for
    tasks on a model without them.
    """
    model = lock_model(session, name)
    dataset = catalogue.find(model.dataset)
    _refuse_forgotten(session, model, body)
    _refuse_unknown(dataset, body)
    training = body.training or TRAINING.validate_python(model.training)
    job = submit(
        session, caller, model, training, from_scratch=body.from_scratch, classes=body.classes, serve=body.serve
    )
    log_requested(session, caller, model, job)
    return ModelAndJob(model=model_view(session, model), job=job_view(job, model.name))


def refuse_relearning(database: Database, caller: Caller, name: str, body: TrainRequest) -> None:
    """Raise `ClassForgotten` for a forgotten class asked for by name, and log the attempt.

    A transaction of its own, before the one that queues the work: the refusal's must commit, the other's must not.
    """
    with database.reading() as session:
        model = find_model(session, name)
        try:
            _refuse_forgotten(session, model, body)
        except ClassForgotten as refusal:
            refused = refusal
        else:
            return
    with database.writing() as session:
        log.append(
            session,
            "relearning.refused",
            actor=caller.actor,
            request_id=caller.request_id,
            model=name,
            details={"classes": _relearned(session, model, body)},
        )
    raise refused


def submit(
    session: Session,
    caller: Caller,
    model: ModelRow,
    training: specs.Training,
    *,
    from_scratch: bool = False,
    classes: list[int] | None = None,
    serve: bool = True,
) -> JobRow:
    """Queue a training job."""
    spec = {"training": asdict(training), "from_scratch": from_scratch, "classes": classes, "serve": serve}
    return queue.submit(session, "train", model.id, spec, actor=caller.actor, request_id=caller.request_id)


def log_requested(session: Session, caller: Caller, model: ModelRow, job: JobRow) -> None:
    """Log that training was asked for."""
    classes = {"classes": job.spec["classes"]} if job.spec["classes"] else {}
    log.append(
        session,
        "training.requested",
        actor=caller.actor,
        request_id=caller.request_id,
        model=model.name,
        details={"job": str(job.id), "from_scratch": job.spec["from_scratch"], **classes},
    )


def _named_classes(body: TrainRequest) -> set[int]:
    return set(body.classes or []) | {number for task in body.tasks or [] for number in task}


def _refuse_forgotten(session: Session, model: ModelRow, body: TrainRequest) -> None:
    relearned = _relearned(session, model, body)
    if relearned:
        raise ClassForgotten(f"classes {some(relearned)} were forgotten and can never be learned again by this model")


def _relearned(session: Session, model: ModelRow, body: TrainRequest) -> list[int]:
    return sorted(_named_classes(body) & set(forgotten_classes(session, [model.id])[model.id]))


def _refuse_unknown(dataset: DatasetSpec, body: TrainRequest) -> None:
    unknown = sorted(number for number in _named_classes(body) if not 0 <= number < len(dataset.classes))
    if unknown:
        raise ClassNotFound(
            f"{dataset.name} has no classes {some(unknown)}; its classes are 0 to {len(dataset.classes) - 1}"
        )
    if body.tasks is not None:
        raise NotApplicable(
            "this model learns all classes together; it has no tasks",
            errors=[FieldError("/tasks", "leave it out for a model of learning mode standard")],
        )


# --- in the attempt's process --------------------------------------------------------------------


def run(attempt: Attempt) -> None:
    """Fit, measure, and publish the new version in one transaction.

    Raises `GateMissed` when a model that has forgotten classes would remember them after this training.
    """
    from app.unlearning.context import Context
    from app.unlearning.training import fit
    from app.unlearning.verification import version_metrics

    start = publishing.begin(attempt)
    training = TRAINING.validate_python(attempt.spec["training"])
    loaded = publishing.load_dataset(attempt, start)
    parent = publishing.load_parent(attempt, start) if start.forgotten or not attempt.spec["from_scratch"] else None
    model = _starting_point(attempt, start, parent, loaded.dataset, training)
    rows = _rows_to_learn(attempt.spec["classes"], start, loaded.dataset)
    context = Context(progress=publishing.progress_between(attempt, 0.05, 0.85))
    fitted = fit(model, loaded.dataset, rows, training, context)

    kept: Unlearned | None = None
    if start.forgotten:
        kept = _keep_forgotten(attempt, start, model, parent, loaded.dataset)
        model = kept.model
    attempt.progress(0.95, "measuring", "on the test set")
    metrics = VersionMetrics(**asdict(version_metrics(model, loaded.dataset)), training_seconds=fitted.seconds)
    recipe: dict[str, Any] = {
        "training": asdict(training),
        "epochs_run": fitted.epochs,
        "rows_by_class": publishing.rows_by_class(loaded.dataset, rows),
    }
    if kept is not None:
        recipe["kept_forgotten"] = {"settings": kept.report.settings, "gate": [asdict(c) for c in kept.report.gate]}
    new = publishing.NewVersion(
        origin="trained",
        forgotten=start.forgotten,
        claim=kept.claim if kept is not None else None,
        metrics=metrics,
        recipe=recipe,
        seed=training.seed,
        parent=None if attempt.spec["from_scratch"] else start.parent,
    )
    staged = publishing.stage(attempt, start, loaded, model, new)
    serve = attempt.spec["serve"] or start.parent is None
    with attempt.succeeding({"version": start.number, "served": serve}) as session:
        publishing.publish(session, attempt, start, staged, serve=serve)
        log.append(
            session,
            "training.completed",
            actor=attempt.actor,
            request_id=attempt.request_id,
            model=start.model.name,
            version=start.number,
            details={
                "job": str(attempt.job_id),
                "digest": staged.manifest.weights_digest,
                **({"parent_version": start.parent.number} if start.parent else {}),
            },
        )


def _starting_point(
    attempt: Attempt,
    start: publishing.Start,
    parent: Classifier | None,
    dataset: Dataset,
    training: specs.Training,
) -> Classifier:
    import copy

    from app.unlearning.architectures import build

    if parent is not None and not attempt.spec["from_scratch"]:
        return copy.deepcopy(parent)
    architecture = publishing.ARCHITECTURE.validate_python(start.model.architecture)
    fresh = build(architecture, dataset.input_shape, dataset.num_classes, training.seed)
    fresh.forgotten[start.forgotten] = True
    return fresh


def _rows_to_learn(classes: list[int] | None, start: publishing.Start, dataset: Dataset) -> Tensor:
    """Training rows of the asked (or all) classes less the forgotten ones, int64 [n]."""
    import torch

    wanted = set(classes if classes is not None else range(dataset.num_classes)) - set(start.forgotten)
    labels = dataset.train_labels[dataset.train_rows]
    rows = dataset.train_rows[torch.isin(labels, torch.tensor(sorted(wanted)))]
    if not len(rows):
        raise NothingLeft("no training row of the asked classes is left; ask for other classes")
    return rows


def _keep_forgotten(
    attempt: Attempt, start: publishing.Start, trained: Classifier, parent: Classifier | None, dataset: Dataset
) -> Unlearned:
    """The trained model, its forgotten classes struck and refused again; raises `GateMissed`."""
    from app.unlearning.context import Context
    from app.unlearning.forgetting import keep_forgotten

    assert parent is not None  # a model that has forgotten has a serving version
    context = Context(progress=publishing.progress_between(attempt, 0.85, 0.95))
    kept = keep_forgotten(trained, parent, dataset, start.keeping, context)
    if kept.verdict != "passed":
        raise GateMissed("; ".join(criterion.detail for criterion in kept.report.gate if not criterion.passed))
    return kept


def ended(session: Session, job: JobRow) -> None:
    """Log that a training job failed or was cancelled."""
    model = session.get_one(ModelRow, job.model_id)
    log.append(
        session,
        f"training.{job.status}",
        actor=job.actor,
        request_id=job.request_id,
        model=model.name,
        details=publishing.ending(job),
    )
