"""References: models retrained without what was forgotten, made as jobs, to compare with and for nothing else.

They are kept in a store of their own below the home, are never served and never exported, and are found again by what
they were trained on. One that fails or is not there leaves a verdict inconclusive, and stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.contract.versions import VersionMetrics
from app.database.engine import database_now
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, ReferenceRow, VersionRow
from app.errors import (
    DatasetCorrupted,
    JobFinished,
    ModelGone,
    NoServingVersion,
    NotApplicable,
    VersionCorrupted,
    VersionGone,
)
from app.jobs import queue
from app.operations.caller import Caller
from app.operations.lookups import waiting_jobs
from app.operations.training import publishing
from app.operations.verifying import observation_files
from app.operations.verifying.forgotten_so_far import ForgottenSoFar, forgotten_by_then
from app.operations.verifying.reference_files import purge, store_of
from app.specs.originator import Originator
from app.store.manifest import MANIFEST, WEIGHTS, Manifest
from app.store.versions import VersionStore, verify_files

if TYPE_CHECKING:
    from app.datasets.loading import LoadedDataset
    from app.jobs.attempt import Attempt
    from app.unlearning.data import Dataset
    from app.unlearning.learning.architectures import Classifier
    from app.unlearning.methods.method import MethodResult

_SEEDS = 2**53
_logger = structlog.get_logger(__name__)


def submit_for(session: Session, caller: Caller, model: ModelRow, request: ForgetRequestRow) -> list[JobRow]:
    """Queue the references that a forget request waits for, before its own job; none unless it asked to wait.

    Each waits for every job that publishes a version before that request, so that it knows what is forgotten by then.
    `request` need not be stored yet.
    """
    if request.reference != "wait":
        return []
    before = [job.id for job in waiting_jobs(session, model.id)]
    return submit(session, model, request.id, request.num_references, by=caller.by, waits_for=before)


def submit(
    session: Session,
    model: ModelRow,
    forget_request: UUID,
    count: int,
    *,
    by: Originator,
    version: int | None = None,
    waits_for: Sequence[UUID] = (),
) -> list[JobRow]:
    """Queue `count` references, for a request to come or, with `version`, for a version that forgot this."""
    return [
        queue.submit(
            session,
            "reference",
            model.id,
            {"forget_request": str(forget_request), "seed": seed, "version": version},
            by=by,
            publishing=False,
            waits_for=waits_for,
        )
        for seed in seeds_of(model, count)
    ]


def seeds_of(model: ModelRow, count: int) -> list[int]:
    """Distinct seeds, none of which is the seed of the model's own training."""
    first = model.training.seed + 1
    return [(first + number) % _SEEDS for number in range(count)]


def release(session: Session, job: JobRow) -> None:
    """Cancel the references that a job waited for and nobody else does, when the job has failed or was cancelled."""
    for abandoned in queue.abandoned(session, job.id, "reference"):
        with suppress(JobFinished):
            queue.request_cancel(session, abandoned, {"reference": ended})


def of(start: publishing.Start, request: ForgetRequestRow) -> dict[int, Classifier]:
    """The references of a request that is being carried out, by seed, as far as there are any; their digests checked."""
    if request.reference == "none" or start.parent is None:
        return {}
    with start.attempt.database.reading() as session:
        forgotten = forgotten_by_then(session, request)
    seeds = seeds_of(start.model, request.num_references)
    return load(start.attempt, start.model, forgotten.key(start.parent.manifest, start.model.training), seeds)


def load(attempt: Attempt, model: ModelRow, key: str, seeds: Sequence[int]) -> dict[int, Classifier]:
    """The references that exist for these seeds, by seed, ascending; one with damaged files is left out."""
    return {row.seed: reference for row, reference in load_recorded(attempt, model, key, seeds)}


def load_recorded(
    attempt: Attempt, model: ModelRow, key: str, seeds: Sequence[int]
) -> list[tuple[ReferenceRow, Classifier]]:
    """The references that exist for these seeds, as `load`, each with what is recorded of it."""
    from app.store import weights

    store, found = store_of(attempt.settings), []
    with attempt.database.reading() as session:
        rows = _available(session, model.id, key, seeds)
    for row in rows:
        folder = store.folder(model.name, row.number)
        try:
            found.append((row, weights.load(folder, row.digest, row.manifest_digest)))
        except VersionCorrupted as error:
            _logger.error("reference_corrupted", number=row.number, detail=error.detail)  # noqa: TRY400  a named fault
    return found


def _available(session: Session, model_id: UUID, key: str, seeds: Iterable[int]) -> list[ReferenceRow]:
    """The newest available reference of each seed."""
    statement = (
        select(ReferenceRow)
        .where(
            ReferenceRow.model_id == model_id,
            ReferenceRow.key == key,
            ReferenceRow.seed.in_(list(seeds)),
            ReferenceRow.state == "available",
        )
        .order_by(ReferenceRow.number)
    )
    newest = {row.seed: row for row in session.scalars(statement)}
    return [newest[seed] for seed in sorted(newest)]


# --- in the attempt's process --------------------------------------------------------------------


@dataclass(frozen=True)
class _ReferenceJob:
    """What one reference job is about."""

    start: publishing.Start
    """The state to start from; its `number` is the one that the reference will have."""
    request: ForgetRequestRow
    like: VersionRow
    """The version whose architecture and learning it has."""
    forgotten: ForgottenSoFar
    seed: int
    key: str


def run(attempt: Attempt) -> None:
    """Retrain by the model's own recipe without what is forgotten; nothing to do where there is such a model.

    Raises `ModelGone`, `NoServingVersion`, and `VersionGone` where more was forgotten since it was asked for.
    """
    asked = _asked(attempt)
    known = _intact(asked)
    if known is not None:
        with attempt.succeeding({"cached": True, "number": known.number, "seed": asked.seed}) as session:
            row = session.get_one(ReferenceRow, (known.model_id, known.number))
            # What a request that asked for the same is about is no more news to it than what the first one was.
            row.forget_requests = sorted({*row.forget_requests, *map(str, asked.forgotten.forget_requests)})
        return
    _train(asked)


def _asked(attempt: Attempt) -> _ReferenceJob:
    start = publishing.begin(attempt)
    if start.model.deleted_at is not None:
        raise ModelGone("the model was deleted; nothing is trained for it any more")
    with attempt.database.reading() as session:
        request = session.get_one(ForgetRequestRow, UUID(attempt.spec["forget_request"]))
        named = attempt.spec["version"]
        like = session.get_one(VersionRow, (start.model.id, named)) if named else start.parent
        if like is None:
            raise NoServingVersion("the model has no version to compare with a retrained one; train it first")
        if like.state != "available":
            # A model like it would learn what the model has forgotten since.
            raise VersionGone(f"version {like.number} is {like.state}; verify one that is available")
        forgotten = forgotten_by_then(session, request, like if named else None)
        number = session.scalars(select(JobRow.sequence).where(JobRow.id == attempt.job_id)).one()
    key = forgotten.key(like.manifest, start.model.training)
    return _ReferenceJob(replace(start, number=number), request, like, forgotten, attempt.spec["seed"], key)


def _intact(asked: _ReferenceJob) -> ReferenceRow | None:
    """The reference that was trained before for the same; None without one. One with damaged files is purged first."""
    attempt, model = asked.start.attempt, asked.start.model
    with attempt.database.reading() as session:
        rows = _available(session, model.id, asked.key, [asked.seed])
    for row in rows:
        folder = store_of(attempt.settings).folder(model.name, row.number)
        try:
            verify_files(folder, {WEIGHTS: row.digest, MANIFEST: row.manifest_digest})
        except VersionCorrupted:
            purge(attempt.database, attempt.settings, model.name, row)
        else:
            return row
    return None


def _train(asked: _ReferenceJob) -> None:
    from app.datasets.loading import load as load_dataset

    start, attempt = asked.start, asked.start.attempt
    loaded = load_dataset(start.model.dataset, attempt.settings, publishing.progress_between(attempt, 0, 0.05))
    if loaded.data_digest != asked.like.manifest["data_digest"]:
        raise DatasetCorrupted("the data set is not what the model learned, so a retrained model would compare nothing")
    result = _retrained(asked, loaded.dataset)
    if attempt.spec["version"] is None:
        _observe(asked, result.model, loaded)
    new = publishing.NewVersion(
        origin="trained",
        parent=None,
        forgotten=asked.forgotten.every_class,
        num_samples=len(asked.forgotten.every_sample),
        claim=publishing.Inherited(None),
        metrics=_metrics(result, loaded.dataset.without(asked.forgotten.every_sample)),
        recipe={"reference": result.settings, "key": asked.key},
        seed=asked.seed,
        importance=result.importance,
    )
    staged = publishing.stage(start, loaded, result.model, new)
    told = {"cached": False, "number": start.number, "seed": asked.seed, "seconds": round(result.spent.wall, 3)}
    with attempt.succeeding(told) as session:
        session.add(_row(session, asked, staged, result.spent.wall))
        session.flush()
        store_of(attempt.settings).publish(staged.folder, start.model.name, start.number)


def _retrained(asked: _ReferenceJob, data: Dataset) -> MethodResult:
    from app.specs.methods.retrain import RetrainParameters
    from app.unlearning.case import Case, Parent
    from app.unlearning.context import Context
    from app.unlearning.learning.architectures import build
    from app.unlearning.methods import METHODS

    manifest = Manifest.model_validate(asked.like.manifest)
    # Only what it is like is read of it, so no version need be there any more.
    like = build(manifest.architecture, data.input_shape, data.num_classes, asked.seed, manifest.learning)
    partition = asked.forgotten.partition(data, like.learned_classes)
    like.mark_forgotten(partition.earlier_classes)
    parameters = RetrainParameters(training=asked.start.model.training)
    context = Context(progress=publishing.progress_between(asked.start.attempt, 0.05, 0.95))
    return METHODS["retrain"].run(Case(Parent(like), data, partition), parameters, context, seed=asked.seed)


def _observe(asked: _ReferenceJob, reference: Classifier, loaded: LoadedDataset) -> None:
    """Keep what the reference and the original do on the rows of the request, which then need not run them."""
    from app.store import weights
    from app.unlearning.context import Context
    from app.unlearning.judging.verifying.kept import observe_or_recall
    from app.unlearning.judging.verifying.observations import draw_sets

    shelf, original = observation_files.shelf_of(asked.start, loaded), asked.start.parent
    if shelf is None or original is None:
        return
    folder = VersionStore(asked.start.attempt.settings.home).folder(asked.start.model.name, original.number)
    with suppress(NotApplicable, VersionCorrupted):  # which the request itself will say
        partition = asked.forgotten.partition(loaded.dataset, reference.learned_classes)
        sets = draw_sets(loaded.dataset, partition, "fast", asked.request.seed)
        for model in (reference, weights.load(folder, original.digest, original.manifest_digest)):
            observe_or_recall(model, sets, Context(), shelf)


def _metrics(result: MethodResult, data: Dataset) -> VersionMetrics:
    from app.unlearning.judging.measurements import version_metrics

    found = version_metrics(result.model, data)
    return VersionMetrics(
        **asdict(found),
        warning=found.warning,
        training_seconds=result.spent.wall,
        training_cpu_seconds=result.spent.cpu,
    )


def _row(session: Session, asked: _ReferenceJob, staged: publishing.Staged, seconds: float) -> ReferenceRow:
    return ReferenceRow(
        model_id=asked.start.model.id,
        number=asked.start.number,
        key=asked.key,
        seed=asked.seed,
        target=asked.request.target,
        forget_requests=[str(found) for found in asked.forgotten.forget_requests],
        state="available",
        digest=staged.manifest.weights_digest,
        manifest_digest=staged.manifest.digest,
        seconds=seconds,
        job_id=asked.start.attempt.job_id,
        created_at=database_now(session),
    )


def ended(session: Session, job: JobRow) -> None:
    """A reference that failed or was cancelled changed nothing; a job that waited for it goes on without it."""
