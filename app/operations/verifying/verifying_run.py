"""Verify, in the attempt's process: the version as it is stored, beside the original and the references there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.tables import ForgetRequestRow, ModelRow, VerificationRow, VersionRow
from app.errors import VersionCorrupted, VersionGone
from app.operations.models import versions
from app.operations.training import publishing
from app.operations.verifying import references, repeating, verifications
from app.operations.verifying.forgotten_so_far import ForgottenSoFar, forgotten_by_then
from app.specs.claims import Claim, weakest
from app.specs.refusing import Refusal
from app.store.manifest import WEIGHTS
from app.store.versions import VersionStore

if TYPE_CHECKING:
    from app.datasets.loading import LoadedDataset
    from app.jobs.attempt import Attempt
    from app.unlearning.context import Context
    from app.unlearning.judging.verifying.claims import AbsenceProof, Repetition, Sought
    from app.unlearning.judging.verifying.deep_verification import VerificationReport
    from app.unlearning.learning.architectures import Classifier
    from app.unlearning.partition import Partition
    from app.unlearning.refusing.guard import Guard

_REFUSAL: TypeAdapter[Refusal] = TypeAdapter(Refusal)


@dataclass(frozen=True)
class _Case:
    """What one job verifies."""

    attempt: Attempt
    row: VerificationRow
    model: ModelRow
    version: VersionRow
    original: VersionRow | None
    """The version that the request started from; None once it is purged."""
    parent_claim: Claim | None
    request: ForgetRequestRow
    forgotten: ForgottenSoFar
    recorded: VerificationRow | None
    """What the request found of its own result."""


def run(attempt: Attempt) -> None:
    """Verify, and keep and log what was found; raises `VersionGone` once the version is purged."""
    from app.datasets.loading import load

    with attempt.database.reading() as session:
        case = _case(session, attempt)
    loaded = load(case.model.dataset, attempt.settings, publishing.progress_between(attempt, 0, 0.05))
    report = _verified(case, loaded)
    told = {"verification": str(case.row.id), "verdict": report.verdict, "claim": report.claim}
    with attempt.succeeding(told) as session:
        row = session.get_one(VerificationRow, case.row.id)
        verifications.complete(session, row, report.as_json(), by=attempt.by)
    if case.row.before_purge and attempt.settings.retention_days == 0:
        versions.purge_all(attempt.database, attempt.settings, case.model.id, by=attempt.by)


def _case(session: Session, attempt: Attempt) -> _Case:
    row = session.get_one(VerificationRow, UUID(attempt.spec["verification"]))
    version = session.get_one(VersionRow, (row.model_id, row.version))
    request = session.get_one(ForgetRequestRow, row.forget_request_id)
    before = session.get(VersionRow, (row.model_id, row.original_version)) if row.original_version else None
    recorded = select(VerificationRow).where(
        VerificationRow.forget_request_id == request.id, VerificationRow.job_id == request.job_id
    )
    return _Case(
        attempt=attempt,
        row=row,
        model=session.get_one(ModelRow, row.model_id),
        version=version,
        original=before if before is not None and before.state != "purged" else None,
        parent_claim=publishing.claim_of(before),
        request=request,
        forgotten=forgotten_by_then(session, request, version),
        recorded=session.scalars(recorded).one_or_none(),
    )


def _verified(case: _Case, loaded: LoadedDataset) -> VerificationReport:
    from app.unlearning.context import Context
    from app.unlearning.judging.verifying.deep_verification import verify
    from app.unlearning.judging.verifying.observations import draw_sets
    from app.unlearning.judging.verifying.peers import Peers

    unlearned = _load(case, case.version)
    if unlearned is None:
        raise VersionGone(f"version {case.version.number} was purged before it could be verified")
    data, context = loaded.dataset, Context(progress=publishing.progress_between(case.attempt, 0.05, 0.95))
    partition, guard = case.forgotten.partition(data, unlearned.learned_classes), _guard(case)
    sought, repetition = _sought(case, unlearned, partition, guard), None
    if case.attempt.spec.get("repeat"):
        sought, repetition = _repeated(case, sought, loaded, partition, context=context.part(0.0, 0.5))
        context = context.part(0.5, 1.0)
    sets = draw_sets(data, partition, case.row.depth, case.attempt.spec["seed"])
    peers = Peers(
        original=_load(case, case.original) if case.original else None,
        references=_references(case),
        kept_digest=case.recorded.original_digest if case.recorded else None,
    )
    return replace(verify(unlearned, sought, sets, peers, context, guard=guard), repetition=repetition)


def _repeated(
    case: _Case,
    sought: Sought,
    loaded: LoadedDataset,
    partition: Partition,
    *,
    context: Context,
) -> tuple[Sought, Repetition]:
    """What is sought, with the proof as it is after the method of the request was carried out once more."""
    original = _load(case, case.original, with_checkpoints=True) if case.original else None
    record = repeating.Record(case.version, case.request, case.forgotten, sought.refusal, sought.proof)
    repetition, proof = repeating.repeat(record, original, loaded, partition, context)
    return replace(sought, proof=proof), repetition


def _load(case: _Case, version: VersionRow, *, with_checkpoints: bool = False) -> Classifier | None:
    """The network of a version, also of a quarantined one; None where a purge has just destroyed it.

    Checkpoints belong to a model that learned in shards. Nobody else is given a quarantined version. Raises
    `VersionCorrupted`, which is logged if the version is available.
    """
    from app.store import checkpoints, weights

    folder = VersionStore(case.attempt.settings.home).folder(case.model.name, version.number)
    try:
        network = weights.load(folder, version.digest, version.manifest_digest)
        if with_checkpoints:
            network.provenance = checkpoints.load_provenance(folder, version.manifest_digest)
        return network  # noqa: TRY300  whatever fails above is judged below
    except VersionCorrupted:
        now = _now(case.attempt, version)
        if now.state == "purged" or (now.state == "quarantined" and not (folder / WEIGHTS).exists()):
            return None
        _report_corrupted(case.attempt, version)
        raise


def _guard(case: _Case) -> Guard | None:
    """The guard of the version, until it is deleted."""
    from app.store import guards

    version = case.version
    if version.guard_deleted_at is not None:
        return None
    folder = VersionStore(case.attempt.settings.home).folder(case.model.name, version.number)
    try:
        return guards.load_guard(folder, version.manifest_digest)
    except VersionCorrupted:
        if _now(case.attempt, version).guard_deleted_at is not None:
            return None
        _report_corrupted(case.attempt, version)
        raise


def _now(attempt: Attempt, version: VersionRow) -> VersionRow:
    """The version, read anew because its files were not what they should be: they may just have been taken away."""
    with attempt.database.reading() as session:
        return session.get_one(VersionRow, (version.model_id, version.number))


def _report_corrupted(attempt: Attempt, version: VersionRow) -> None:
    versions.report_corrupted(attempt.database, version.model_id, version.number, by=attempt.by)


def _references(case: _Case) -> dict[int, Classifier]:
    if case.attempt.spec["reference"] == "none":
        return {}
    key = case.forgotten.key(case.version.manifest, case.model.training)
    return references.load(
        case.attempt, case.model, key, references.seeds_of(case.model, case.attempt.spec["num_references"])
    )


def _sought(case: _Case, unlearned: Classifier, partition: Partition, guard: Guard | None) -> Sought:
    """What is sought: no more than the request sought, with the refusal that was fitted, not the one asked for.

    A request for samples asks for no refusal, and pushes classes again that were pushed before. A guard that was
    deleted is not expected to refuse.
    """
    from app.unlearning.judging.verifying.claims import Sought

    spec = case.request.spec
    method = spec.of_method.claim
    if case.recorded is not None and case.recorded.report is not None:
        method = weakest(method, publishing.CLAIM.validate_python(case.recorded.report["sought"]))
    assert case.request.report is not None  # a completed request has one
    refusal: Refusal = _REFUSAL.validate_python(case.request.report["settings"]["refusal"])
    if refusal == "guard" and guard is None:
        refusal = "calibrate"
    return Sought(
        method,
        refusal,
        spec.parameters.utility_budget,
        _proof(case, unlearned, partition),
        parent_claim=case.parent_claim,
        still_answered=case.request.report.get("forget_accuracy_before_refusal") if partition.forget_classes else None,
    )


def _proof(case: _Case, unlearned: Classifier, partition: Partition) -> AbsenceProof | None:
    """The proof that the request gave of these very weights when it made them, if it did and it held."""
    from app.unlearning.judging.verifying.claims import AbsenceProof, weights_digest

    report = case.recorded.report if case.recorded else None
    if report is None or report["digest"] != weights_digest(unlearned):
        return None
    held = any(found["name"] == "absent" and found["passed"] for found in report["criteria"])
    return AbsenceProof(report["digest"], partition.train.retain) if held else None
