"""Train: the first version of a model, and later ones on what it may still know."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from app.audit import log
from app.contract.models import ModelAndJob
from app.contract.training import TrainingChanges, TrainRequest
from app.contract.versions import VersionMetrics
from app.database.engine import Database
from app.database.tables import JobRow, ModelRow
from app.errors import ClassForgotten, ClassNotFound, GateMissed
from app.jobs import queue
from app.operations.caller import Caller
from app.operations.forgetting import sample_targets, targets
from app.operations.lookups import find_model, lock_model, some
from app.operations.training import publishing, tasks
from app.operations.training.learning_run import Fitted, TrainingRun
from app.operations.views import forgotten_classes, job_view, model_view
from app.specs.training import Training

if TYPE_CHECKING:
    from app.jobs.attempt import Attempt
    from app.unlearning.case import Parent
    from app.unlearning.data import Dataset
    from app.unlearning.forgetting import Unlearned
    from app.unlearning.judging.verifying.claims import SupportedClaim
    from app.unlearning.learning.architectures import Classifier
    from app.unlearning.refusing.guard import Guard

TRAINING: TypeAdapter[Training] = TypeAdapter(Training)


def continue_training(session: Session, caller: Caller, name: str, body: TrainRequest) -> ModelAndJob:
    """Queue one more training run on the retained data of a model, or the learning of further tasks.

    Raises `ClassForgotten` when a forgotten class is asked for by name, `ClassNotFound`, and what
    `tasks.check_further` and `tasks.check_training` do.
    """
    model = lock_model(session, name)
    _refuse_forgotten(session, model, body)
    _refuse_unknown(session, model, body.classes or [])
    if body.tasks is not None:
        tasks.check_further(session, model, body.tasks)
    training = _changed(model.training, body.training)
    learning = model.learning
    tasks.check_training(learning, training, from_scratch=body.from_scratch or body.tasks is not None)
    job = submit(
        session,
        caller,
        model,
        training,
        from_scratch=body.from_scratch,
        classes=body.classes,
        further=body.tasks,
        serve=body.serve,
    )
    log_requested(session, caller, model, job)
    return ModelAndJob(model=model_view(session, model), job=job_view(job, model.name))


def _changed(training: Training, changes: TrainingChanges | None) -> Training:
    return replace(training, **changes.model_dump(exclude_none=True)) if changes else training


def refuse_relearning(
    database: Database, caller: Caller, name: str, body: TrainRequest, *, home: Path | None = None
) -> None:
    """Raise `ClassForgotten` for a class asked for by name that was forgotten, itself or by all its samples; log the attempt.

    `home` is where labels are kept; without it, the classes of samples are not known here.

    It has a transaction of its own, before the one that queues the work: the log of a refusal must be committed, the
    work must not.
    """
    with database.reading() as session:
        model = find_model(session, name)
        try:
            _refuse_forgotten(session, model, body, home)
        except ClassForgotten as refusal:
            refused = refusal
        else:
            return
    with database.writing() as session:
        log.append(
            session,
            "relearning.refused",
            by=caller.by,
            model=name,
            details=_refused(model, _relearned(session, model, body, home)),
        )
    raise refused


def submit(
    session: Session,
    caller: Caller,
    model: ModelRow,
    training: Training,
    *,
    from_scratch: bool = False,
    classes: list[int] | None = None,
    further: list[list[int]] | None = None,
    serve: bool = True,
) -> JobRow:
    """Queue a training job; `further` are the classes of each task to be learned after those the model has."""
    spec = {
        "training": asdict(training),
        "from_scratch": from_scratch,
        "classes": classes,
        "tasks": further,
        "serve": serve,
    }
    return queue.submit(session, "train", model.id, spec, by=caller.by)


def log_requested(session: Session, caller: Caller, model: ModelRow, job: JobRow) -> None:
    """Log that training was asked for."""
    named = {name: job.spec[name] for name in ("classes", "tasks") if job.spec[name]}
    log.append(
        session,
        "training.requested",
        by=caller.by,
        model=model.name,
        details={"job": str(job.id), "from_scratch": job.spec["from_scratch"], **named},
    )


def _refused(model: ModelRow, classes: list[int]) -> dict[str, list[int]]:
    """The forgotten classes that were asked for, and the tasks they belonged to."""
    owners = [index for index, task in enumerate(model.learning.tasks) if set(task) & set(classes)]
    return {"classes": classes, "tasks": owners} if owners else {"classes": classes}


def _named_classes(body: TrainRequest) -> set[int]:
    return set(body.classes or []) | {number for task in body.tasks or [] for number in task}


def _refuse_forgotten(session: Session, model: ModelRow, body: TrainRequest, home: Path | None = None) -> None:
    relearned = _relearned(session, model, body, home)
    if relearned:
        raise ClassForgotten(f"classes {some(relearned)} were forgotten and can never be learned again by this model")


def _relearned(session: Session, model: ModelRow, body: TrainRequest, home: Path | None) -> list[int]:
    gone = set(forgotten_classes(session, [model.id])[model.id])
    return sorted(_named_classes(body) & (gone | sample_targets.classes_without_rows(session, model, home)))


def _refuse_unknown(session: Session, model: ModelRow, classes: list[int]) -> None:
    known = targets.learned_classes(session, model)
    unknown = sorted(set(classes) - known)
    if unknown:
        raise ClassNotFound(
            f"the model has no classes {some(unknown)} among its {len(known)}; those of no task are learned as `tasks`"
        )


# --- in the attempt's process --------------------------------------------------------------------


def run(attempt: Attempt) -> None:
    """Fit, measure, and publish the new version in one transaction.

    Raises `GateMissed` when a model that has forgotten classes would remember them after this training, and
    `Conflict` and `NoServingVersion` for further tasks that the serving version cannot learn.
    """
    from app.unlearning.context import Context

    start = publishing.begin(attempt)
    training = TRAINING.validate_python(attempt.spec["training"])
    loaded = publishing.load_dataset(start, start.forgotten)
    parent = publishing.load_parent(start) if start.forgotten or not attempt.spec["from_scratch"] else None
    begun = None if attempt.spec["from_scratch"] else parent
    context = Context(progress=publishing.progress_between(attempt, 0.05, 0.85))
    fitting = TrainingRun(start, begun, loaded.dataset, training, context)
    further = attempt.spec["tasks"]
    fitted = fitting.learn_further(further) if further else fitting.learn_classes(attempt.spec["classes"])
    model, recipe, guard = fitted.model, fitted.recipe, None
    inherited = publishing.Inherited(start.parent)
    claim: SupportedClaim | publishing.Inherited = inherited
    if start.forgotten:
        kept = _keep_forgotten(attempt, model, parent, loaded.dataset)
        model, claim, guard = kept.model, _claim(kept, inherited), kept.guard
        recipe["kept_forgotten"] = {"settings": kept.report.settings, "gate": [asdict(c) for c in kept.report.gate]}
    attempt.progress(0.95, "measuring", "on the test set")
    new = publishing.NewVersion(
        origin="trained",
        forgotten=start.forgotten,
        num_samples=len(start.forgotten_samples),
        claim=claim,
        metrics=_metrics(model, loaded.dataset, fitted, guard),
        recipe=recipe,
        seed=training.seed,
        importance=fitted.importance,
        guard=guard,
        parent=None if attempt.spec["from_scratch"] else start.parent,
    )
    _publish(start, publishing.stage(start, loaded, model, new))


def _publish(start: publishing.Start, staged: publishing.Staged) -> None:
    attempt = start.attempt
    serve = attempt.spec["serve"] or start.parent is None
    warning = staged.manifest.metrics.warning
    told = {"version": start.number, "served": serve, **({"warning": warning} if warning else {})}
    with attempt.succeeding(told) as session:
        publishing.publish(session, start, staged, serve=serve)
        log.append(
            session,
            "training.completed",
            by=attempt.by,
            model=start.model.name,
            version=start.number,
            details={
                "job": str(attempt.job_id),
                "digest": staged.manifest.weights_digest,
                **({"parent_version": start.parent.number} if start.parent else {}),
            },
        )


def _metrics(model: Classifier, dataset: Dataset, fitted: Fitted, guard: Guard | None) -> VersionMetrics:
    from app.unlearning.judging.measurements import version_metrics
    from app.unlearning.learning.continual import average_forgetting, backward_transfer
    from app.unlearning.refusing.refusal import partly_forgotten_tasks

    found = version_metrics(model, dataset, guard=guard)
    matrix, partly = fitted.accuracy_matrix, partly_forgotten_tasks(model)
    return VersionMetrics(
        **asdict(found),
        warning=found.warning,
        training_seconds=fitted.seconds,
        training_cpu_seconds=fitted.cpu_seconds,
        accuracy_matrix=matrix,
        average_forgetting=average_forgetting(matrix, without=partly) if matrix else None,
        backward_transfer=backward_transfer(matrix, without=partly) if matrix else None,
    )


def _keep_forgotten(
    attempt: Attempt,
    trained: Classifier,
    parent: Parent | None,
    dataset: Dataset,
) -> Unlearned:
    """The trained model, its forgotten classes struck and refused again; raises `GateMissed`."""
    from app.unlearning.context import Context
    from app.unlearning.forgetting import keep_forgotten

    assert parent is not None  # a model that has forgotten has a serving version
    context = Context(progress=publishing.progress_between(attempt, 0.85, 0.95))
    kept = keep_forgotten(trained, parent, dataset, context)
    if kept.verdict != "passed":
        missed = [criterion for criterion in kept.report.gate if not criterion.passed]
        raise GateMissed(" ".join(f"{each.name} is {each.value:.4f}. {each.detail}" for each in missed))
    return kept


def _claim(kept: Unlearned, inherited: publishing.Inherited) -> SupportedClaim:
    """The claim that the gate of keeping is evidence for, and no more than the parent may claim."""
    from app.unlearning.judging.verifying.outcome import supported_claim

    assert inherited.level is not None  # the parent has forgotten
    claim = supported_claim(kept.report.gate, replace(kept.sought, method_claim=inherited.level))
    assert claim is not None  # every criterion of the gate held
    return claim


def ended(session: Session, job: JobRow) -> None:
    """Log that a training job failed or was cancelled."""
    model = session.get_one(ModelRow, job.model_id)
    log.append(session, f"training.{job.status}", by=job.by, model=model.name, details=publishing.ending(job))
