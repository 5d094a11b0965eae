"""Verify, in the attempt's process: the version as it is stored, beside the original and the references there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.tables import ForgetRequestRow, ModelRow, VerificationRow, VersionRow
from app.errors import VersionCorrupted, VersionGone
from app.method_specs import METHOD_SPECS, Claim
from app.operations import asked, publishing, references, verifications, versions
from app.operations.unseen import Unseen, unseen_of
from app.schemas import Depth
from app.store.manifest import WEIGHTS
from app.store.versions import VersionStore

if TYPE_CHECKING:
    from app.jobs.attempt import Attempt
    from app.unlearning.architectures import Classifier
    from app.unlearning.data import Dataset
    from app.unlearning.guard import Guard
    from app.unlearning.partition import Partition
    from app.unlearning.verifying.claims import AbsenceProof, Sought
    from app.unlearning.verifying.deep_verification import VerificationReport

DEPTH: TypeAdapter[Depth] = TypeAdapter(Depth)


@dataclass(frozen=True)
class _Case:
    """What one job verifies."""

    row: VerificationRow
    model: ModelRow
    version: VersionRow
    original: VersionRow | None
    request: ForgetRequestRow
    unseen: Unseen
    recorded: VerificationRow | None
    """What the request found of its own result."""


def run(attempt: Attempt) -> None:
    """Verify, and keep and log what was found; raises `VersionGone` once the version is purged."""
    from app.datasets.loading import load

    with attempt.database.reading() as session:
        case = _case(session, UUID(attempt.spec["verification"]))
    loaded = load(case.model.dataset, attempt.settings, publishing.progress_between(attempt, 0, 0.05))
    report = _verified(attempt, case, loaded.dataset)
    told = {"verification": str(case.row.id), "verdict": report.verdict, "claim": report.claim}
    with attempt.succeeding(told) as session:
        row = session.get_one(VerificationRow, case.row.id)
        verifications.complete(session, row, report.as_json(), actor=attempt.actor, request_id=attempt.request_id)
    if case.row.before_purge and attempt.settings.retention_days == 0:
        versions.purge_all(
            attempt.database, attempt.settings, case.model.id, actor=attempt.actor, request_id=attempt.request_id
        )


def _case(session: Session, verification_id: UUID) -> _Case:
    row = session.get_one(VerificationRow, verification_id)
    version = session.get_one(VersionRow, (row.model_id, row.version))
    request = session.get_one(ForgetRequestRow, row.forget_request_id)
    before = session.get(VersionRow, (row.model_id, row.original_version)) if row.original_version else None
    recorded = select(VerificationRow).where(
        VerificationRow.forget_request_id == request.id, VerificationRow.job_id == request.job_id
    )
    return _Case(
        row=row,
        model=session.get_one(ModelRow, row.model_id),
        version=version,
        original=before if before is not None and before.state != "purged" else None,
        request=request,
        unseen=unseen_of(session, request, version),
        recorded=session.scalars(recorded).one_or_none(),
    )


def _verified(attempt: Attempt, case: _Case, data: Dataset) -> VerificationReport:
    from app.unlearning.context import Context
    from app.unlearning.verifying.deep_verification import verify

    unlearned = _load(attempt, case, case.version)
    if unlearned is None:
        raise VersionGone(f"version {case.version.number} was purged before it could be verified")
    partition = case.unseen.partition(data, unlearned.learned_classes)
    return verify(
        unlearned,
        data,
        partition,
        _sought(case, unlearned, partition),
        Context(progress=publishing.progress_between(attempt, 0.05, 0.95)),
        original=_load(attempt, case, case.original) if case.original else None,
        references=_references(attempt, case),
        depth=DEPTH.validate_python(case.row.depth),
        seed=attempt.spec["seed"],
        original_digest=case.recorded.original_digest if case.recorded else None,
        guard=_guard(attempt, case),
    )


def _load(attempt: Attempt, case: _Case, version: VersionRow) -> Classifier | None:
    """Quarantined ones, too, which nobody is given; None where a purge has just destroyed it."""
    from app.store import weights

    folder = VersionStore(attempt.settings.home).folder(case.model.name, version.number)
    try:
        return weights.load(folder, version.digest, version.manifest_digest)
    except VersionCorrupted:
        with attempt.database.reading() as session:
            state = session.get_one(VersionRow, (case.model.id, version.number)).state
        if state == "purged" or not (folder / WEIGHTS).exists():
            return None
        raise


def _guard(attempt: Attempt, case: _Case) -> Guard | None:
    """That of the version, until it is deleted."""
    from app.store import guards

    if case.version.guard_deleted_at is not None:
        return None
    folder = VersionStore(attempt.settings.home).folder(case.model.name, case.version.number)
    return guards.load_guard(folder, case.version.manifest_digest)


def _references(attempt: Attempt, case: _Case) -> dict[int, Classifier]:
    if attempt.spec["reference"] == "none":
        return {}
    key = case.unseen.key(case.version.manifest, case.model.training)
    return references.load(attempt, case.model, key, references.seeds_of(case.model, attempt.spec["num_references"]))


def _sought(case: _Case, unlearned: Classifier, partition: Partition) -> Sought:
    from app.unlearning.verifying.claims import Sought

    edit = asked.edit_of(case.request)
    method: Claim = "edited"
    for name, spec in METHOD_SPECS.items():
        if name == case.request.method:
            method = spec.claim
    budget = edit.parameters.utility_budget
    return Sought(method, edit.refusal, budget, _proof(case, unlearned, partition))


def _proof(case: _Case, unlearned: Classifier, partition: Partition) -> AbsenceProof | None:
    """The proof that the request gave of these very weights when it made them, if it did and it held."""
    from app.unlearning.verifying.claims import AbsenceProof, weights_digest

    report = case.recorded.report if case.recorded else None
    if report is None or report["digest"] != weights_digest(unlearned):
        return None
    held = any(found["name"] == "absent" and found["passed"] for found in report["criteria"])
    return AbsenceProof(report["digest"], partition.train.retain) if held else None
