"""From a finished computation to a version that can be reached: shared by every job that publishes one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audit import log
from app.contract.models import Forgotten
from app.contract.versions import Origin, VersionMetrics
from app.database.engine import database_now
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, VersionRow
from app.datasets import labels
from app.errors import VersionCorrupted
from app.operations.models import versions
from app.operations.views import forgotten_classes, forgotten_samples
from app.specs.claims import Claim, weakest
from app.specs.learning import Sisa, SynapticIntelligence, forgotten_tasks, unit_blocks
from app.specs.refusing import Refusing
from app.specs.request import ForgetSpec
from app.store.manifest import CHECKPOINTS, GUARD, IMPORTANCE, WEIGHTS, Manifest
from app.store.versions import VersionStore

if TYPE_CHECKING:
    from torch import Tensor

    from app.datasets.loading import LoadedDataset
    from app.jobs.attempt import Attempt
    from app.unlearning.case import Parent
    from app.unlearning.data import Dataset
    from app.unlearning.judging.verifying.claims import SupportedClaim
    from app.unlearning.learning.architectures import Classifier
    from app.unlearning.learning.synaptic_intelligence import Importance
    from app.unlearning.refusing.guard import Guard


CLAIM: TypeAdapter[Claim] = TypeAdapter(Claim)


@dataclass(frozen=True)
class Start:
    """An attempt, and the state that it builds on. That cannot change meanwhile: one publishing job runs per model."""

    attempt: Attempt
    model: ModelRow
    number: int
    """The number of the version to come."""
    parent: VersionRow | None
    """The serving version."""
    forgotten: list[int]
    """The classes that are forgotten, ascending."""
    forgotten_samples: list[int]
    """The samples that are forgotten, as rows of the training file, ascending; `load_dataset` leaves them out."""
    requests: list[ForgetSpec]
    """The forget requests completed so far, oldest first."""

    @property
    def pushed(self) -> tuple[int, ...]:
        """Classes whose own request chose the refusal `push`."""
        pushing = [request for request in self.requests if request.refusal == "push"]
        return tuple(sorted(number for request in pushing for number in request.target.classes))

    @property
    def keeping(self) -> Refusing | None:
        """How what is forgotten is kept refused: as the last request with the strongest refusal said.

        The collapse weight is the largest of all requests that pushed, so that no later push shows what one of them
        hid. None where no class is forgotten.
        """
        if not self.forgotten:
            return None
        strength = ("none", "calibrate", "guard", "push").index
        all_refusing = [request.refusing for request in self.requests]
        strongest = max(all_refusing[::-1], key=lambda refusing: strength(refusing.refusal))
        weights = [refusing.collapse_weight for refusing in all_refusing if refusing.refusal == "push"]
        return replace(strongest, collapse_weight=max(weights, default=0.0))


def claim_of(version: VersionRow | None) -> Claim | None:
    """The claim of a version; None if there is no version, or if it has forgotten nothing."""
    return None if version is None else version.claim


@dataclass(frozen=True)
class Inherited:
    """The claim of a version that was trained: what the parent may claim, and no more than `edited`."""

    parent: VersionRow | None
    """The version that it was trained from; None where nothing was ever forgotten."""

    @property
    def level(self) -> Claim | None:
        """The claim; None where the parent claims nothing."""
        claim = claim_of(self.parent)
        return None if claim is None else weakest(claim, "edited")


@dataclass(frozen=True)
class NewVersion:
    """What a computation knows of the version it made."""

    origin: Origin
    parent: VersionRow | None
    forgotten: list[int]
    num_samples: int
    """The number of samples forgotten so far."""
    claim: SupportedClaim | Inherited
    metrics: VersionMetrics
    recipe: dict[str, Any]
    seed: int
    importance: Importance = field(default_factory=dict)
    guard: Guard | None = None
    """The guard for all classes that the version is to refuse; None without one."""
    forget_request: UUID | None = None
    verification: dict[str, Any] | None = None
    """`VerificationReport.as_json` of these very weights."""


@dataclass(frozen=True)
class Staged:
    """A version on disk that nobody can reach yet."""

    folder: Path
    manifest: Manifest
    new: NewVersion


def begin(attempt: Attempt) -> Start:
    """Read the state that the attempt builds on.

    The model is locked for the moment: a transaction that moved its serving pointer before the job was claimed has
    then committed, and a later one is refused because the job runs.
    """
    with attempt.database.writing() as session:
        model = session.get_one(ModelRow, attempt.model_id, with_for_update={"read": True})
        latest = session.scalar(select(func.max(VersionRow.number)).where(VersionRow.model_id == model.id))
        parent = session.get(VersionRow, (model.id, model.serving_version)) if model.serving_version else None
        return Start(
            attempt=attempt,
            model=model,
            number=(latest or 0) + 1,
            parent=parent,
            forgotten=forgotten_classes(session, [model.id])[model.id],
            forgotten_samples=forgotten_samples(session, model.id),
            requests=_completed(session, model.id),
        )


def _completed(session: Session, model_id: UUID) -> list[ForgetSpec]:
    completed = (
        select(ForgetRequestRow)
        .where(ForgetRequestRow.model_id == model_id, ForgetRequestRow.status == "completed")
        .order_by(ForgetRequestRow.version)
    )
    return [request.spec for request in session.scalars(completed)]


def progress_between(attempt: Attempt, low: float, high: float) -> Callable[[float, str, str], None]:
    """A progress callback whose 0..1 is the part of the job from `low` to `high`."""
    return lambda fraction, stage, message: attempt.progress(low + (high - low) * fraction, stage, message)


def load_dataset(start: Start, named_classes: Collection[int] = ()) -> LoadedDataset:
    """The model's data set in memory without the samples it has forgotten, downloaded if it must be.

    `named_classes` are the classes that are forgotten by their name, see `sample_partition.without_samples`. The labels
    of the data set are kept for the processes that check requests, which load no torch.
    """
    from app.datasets.loading import load
    from app.unlearning.sample_partition import without_samples

    attempt = start.attempt
    loaded = load(start.model.dataset, attempt.settings, progress_between(attempt, 0, 0.05))
    labels.keep(attempt.settings.home, loaded.data_digest, loaded.dataset.train_labels.numpy())
    return replace(loaded, dataset=without_samples(loaded.dataset, start.forgotten_samples, named_classes))


def load_parent(start: Start) -> Parent | None:
    """The serving version with its checkpoints, its digests checked.

    Raises `VersionCorrupted` and logs it, and `VersionGone` where it was quarantined meanwhile, which can only be under
    a job that publishes nothing.
    """
    if start.parent is None:
        return None
    try:
        return _load(start, start.parent)
    except VersionCorrupted:
        attempt = start.attempt
        now = versions.look_again(attempt.database, start.parent)
        if now.guard_deleted_at != start.parent.guard_deleted_at:
            return load_parent(replace(start, parent=now))
        versions.report_corrupted(attempt.database, start.model.id, start.parent.number, by=attempt.by)
        raise


def _load(start: Start, version: VersionRow) -> Parent:
    from app.store import checkpoints, guards, weights
    from app.unlearning.case import Parent

    folder = VersionStore(start.attempt.settings.home).folder(start.model.name, version.number)
    network = weights.load(folder, version.digest, version.manifest_digest)
    network.provenance = checkpoints.load_provenance(folder, version.manifest_digest)
    importance = weights.load_importance(folder, version.manifest_digest, network)
    guard = guards.load_guard(folder, version.manifest_digest) if version.guard_deleted_at is None else None
    return Parent(network, importance, guard, version.claim, start.pushed, start.keeping)


def rows_by_class(dataset: Dataset, rows: Tensor) -> list[int]:
    """How many of the training rows (int64 [n]) belong to each class."""
    import torch

    counts: list[int] = torch.bincount(dataset.train_labels[rows], minlength=dataset.num_classes).tolist()
    return counts


def stage(start: Start, loaded: LoadedDataset, model: Classifier, new: NewVersion) -> Staged:
    """Write the version's files where nobody can reach them yet; raises `StorageUnavailable`."""
    from app.store import checkpoints, guards, weights
    from app.store.environment import describe
    from app.unlearning.learning.sisa.learning import provenance_of

    store, sharded = VersionStore(start.attempt.settings.home), None
    folder = store.stage(start.attempt.handle)
    weights.save(model, folder / WEIGHTS)
    if isinstance(model.learning, SynapticIntelligence):
        weights.save_importance(new.importance, folder / IMPORTANCE)
    if isinstance(model.learning, Sisa):
        checkpoints.save_provenance(provenance_of(model), folder / CHECKPOINTS)
        sharded = checkpoints.described(provenance_of(model), model.learning)
    if new.guard is not None:
        guards.save_guard(new.guard, folder / GUARD)
    manifest = Manifest(
        model=start.model.name,
        number=start.number,
        origin=new.origin,
        parent=new.parent.number if new.parent else None,
        parent_digest=new.parent.digest if new.parent else None,
        dataset=start.model.dataset,
        data_digest=loaded.data_digest,
        split_digest=loaded.split_digest,
        architecture=model.architecture,
        input_shape=loaded.dataset.input_shape,
        class_names=loaded.dataset.class_names,
        learning=model.learning,
        unit_blocks=unit_blocks(model.architecture, model.learning),
        sharded=sharded,
        recipe=new.recipe,
        seed=new.seed,
        forgotten=Forgotten(
            classes=new.forgotten,
            tasks=forgotten_tasks(model.learning.tasks, new.forgotten),
            num_samples=new.num_samples,
        ),
        guard=guards.described(new.guard) if new.guard else None,
        claim=new.claim.level,
        verification=new.verification,
        metrics=new.metrics,
        environment=describe(),
    )
    return Staged(folder, store.seal(folder, manifest), new)


def _published(manifest: Manifest) -> dict[str, Any]:
    forgotten_tasks = manifest.forgotten.tasks if manifest.learning.tasks else None
    num_samples = manifest.forgotten.num_samples or None
    optional = {
        "parent_version": manifest.parent,
        "claim": manifest.claim,
        "tasks": forgotten_tasks,
        "num_samples": num_samples,
    }
    return {
        "digest": manifest.weights_digest,
        "manifest_digest": manifest.digest,
        "origin": manifest.origin,
        "forgotten": manifest.forgotten.classes,
        **{name: value for name, value in optional.items() if value is not None},
    }


def publish(
    session: Session,
    start: Start,
    staged: Staged,
    *,
    serve: bool,
    quarantined: list[VersionRow] | None = None,
) -> None:
    """Make a staged version one that can be reached, inside the transaction `session` that ends the job.

    1. Lock the model.
    2. Add the version's row.
    3. Move the serving pointer, if the version is to serve.
    4. Record the tasks that the model learned with it.
    5. Rename the version's folder into place.
    6. Log the versions that it put out of reach.
    7. Log the version, and the move of the pointer.

    The folder is renamed before the commit: a crash in between leaves an orphan folder, never a version without its
    files. The log comes last: every writer waits for its lock, so the lock is held for the shortest time.

    `quarantined` are the rows of the versions whose state this transaction has changed already. Raises
    `StorageUnavailable` where the folder cannot be renamed; the caller's transaction then leaves nothing.
    """
    # 1. Lock the model.
    model = session.get_one(ModelRow, start.model.id, with_for_update=True, populate_existing=True)

    # 2. Add the version's row.
    session.add(_version_row(session, start, staged))

    # 3. Move the serving pointer.
    moved_from = model.serving_version
    if serve:
        model.serving_version = start.number

    # 4. Record the tasks that the model learned.
    if len(staged.manifest.learning.tasks) > len(model.learning.tasks):
        model.learning = staged.manifest.learning
    session.flush()
    # 5. Rename the folder into place.
    VersionStore(start.attempt.settings.home).publish(staged.folder, model.name, start.number)
    # 6. Log the versions that are out of reach.
    versions.log_quarantined(
        session,
        model,
        quarantined or [],
        by=start.attempt.by,
        forget_request=staged.new.forget_request,
    )

    # 7. Log the version, and the move of the pointer.
    log.append(
        session,
        "version.published",
        by=start.attempt.by,
        model=model.name,
        version=start.number,
        forget_request=staged.new.forget_request,
        details=_published(staged.manifest),
    )
    if serve:
        versions.log_moved(session, model, moved_from, by=start.attempt.by)


def _version_row(session: Session, start: Start, staged: Staged) -> VersionRow:
    manifest = staged.manifest
    return VersionRow(
        model_id=start.model.id,
        number=start.number,
        state="available",
        origin=manifest.origin,
        parent=manifest.parent,
        digest=manifest.weights_digest,
        manifest_digest=manifest.digest,
        forgotten=manifest.forgotten,
        claim=manifest.claim,
        metrics=manifest.metrics,
        manifest=manifest.model_dump(mode="json"),
        forget_request_id=staged.new.forget_request,
        created_at=database_now(session),
    )


def ending(job: JobRow) -> dict[str, str]:
    """What the log says of a job that ended without success: which one, and the slug of its problem if it has one."""
    problem = {"problem": str(job.problem["type"]).rpartition("/")[2]} if job.problem else {}
    return {"job": str(job.id), **problem}
