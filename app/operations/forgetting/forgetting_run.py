"""Forget, in the attempt's process: carry a request out, judge it, publish what passed or refuse what did not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.audit import log
from app.audit.events import decimal_text
from app.contract.jobs import ForgetStatus
from app.contract.versions import VersionMetrics
from app.database.engine import database_now
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, TombstoneRow
from app.errors import NoServingVersion
from app.jobs import queue
from app.operations.forgetting import claiming, targets
from app.operations.models import guards, versions
from app.operations.training import publishing
from app.operations.verifying import observation_files, reference_files, references, verifications
from app.specs.methods.retrain import RetrainParameters
from app.specs.request import ForgetSpec

if TYPE_CHECKING:
    from app.datasets.loading import LoadedDataset
    from app.jobs.attempt import Attempt
    from app.unlearning.case import Parent
    from app.unlearning.forgetting import Unlearned
    from app.unlearning.judging.verifying.claims import SupportedClaim
    from app.unlearning.judging.verifying.deep_verification import VerificationReport
    from app.unlearning.judging.verifying.outcome import Outcome


@dataclass(frozen=True)
class Done:
    """A request that was carried out, and what is known of the result."""

    request: ForgetRequestRow
    original_digest: str
    """`weights_digest` of the parent."""
    unlearned: Unlearned
    verification: VerificationReport
    outcome: Outcome
    learned: dict[str, Any]
    """The part of the version's metrics that is about rows that it learned."""

    @property
    def verification_json(self) -> dict[str, Any]:
        """The verification with the claim of the request, which gate, verification and parent decide together."""
        claim = self.outcome.claim
        return self.verification.as_json() | {"claim": None if claim is None else claim.level}


def run(attempt: Attempt) -> None:
    """Unlearn, measure, verify, judge; publish in one transaction what passed, and quarantine all that still remembers."""
    start = publishing.begin(attempt)
    request = _started(start)
    loaded = publishing.load_dataset(start, [*start.forgotten, *request.target.classes])
    parent = publishing.load_parent(start)
    if parent is None or start.parent is None:
        raise NoServingVersion(
            "no training of this model succeeded, so there is nothing to forget from; train it first"
        )
    targets.refuse_unlearned(start.model, start.parent, request.target)
    claiming.refuse_out_of_reach(request, start.parent, pushed=bool(start.pushed))
    done = _carried_out(start, request, loaded, parent)
    if done.outcome.claim is None:
        _refuse(start, done)
    else:
        _publish(start, loaded, done, done.outcome.claim)


def _started(start: publishing.Start) -> ForgetRequestRow:
    """Mark the request as running; logged once, however many attempts it takes."""
    with start.attempt.database.writing() as session:
        request = session.get_one(ForgetRequestRow, UUID(start.attempt.spec["forget_request"]))
        if request.status == "queued" and queue.standing(session, start.attempt.claim) != "lost":
            request.status = "running"
            request.target = targets.without_forgotten(request.target, start.forgotten)
            log.append(
                session,
                "forget.started",
                by=start.attempt.by,
                model=start.model.name,
                forget_request=request.id,
                details=_details(start),
            )
        return request


def _carried_out(
    start: publishing.Start,
    request: ForgetRequestRow,
    loaded: LoadedDataset,
    parent: Parent,
) -> Done:
    """The request carried out, with a verification of the very weights to be published, beside the parent's."""
    from app.unlearning.context import Context
    from app.unlearning.forgetting import forget
    from app.unlearning.judging.measurements import memorisation, warning_of
    from app.unlearning.judging.verifying.claims import weights_digest
    from app.unlearning.judging.verifying.deep_verification import verify
    from app.unlearning.judging.verifying.observations import draw_sets
    from app.unlearning.judging.verifying.outcome import conclude
    from app.unlearning.judging.verifying.peers import Peers
    from app.unlearning.sample_partition import without_forgotten

    unlearned = forget(
        parent,
        loaded.dataset,
        with_recipe(request.spec, start.model),
        Context(progress=publishing.progress_between(start.attempt, 0.05, 0.8)),
    )
    shelf = observation_files.shelf_of(start, loaded)
    verification = verify(
        unlearned.model,
        unlearned.sought,
        draw_sets(loaded.dataset, unlearned.partition, "fast", request.seed),
        Peers(parent.network, references.of(start, request), shelf=shelf),
        Context(progress=publishing.progress_between(start.attempt, 0.8, 0.95)),
        guard=unlearned.guard,
    )
    outcome = conclude(
        unlearned.report.gate,
        unlearned.sought,
        verification,
        min_claim=request.min_claim,
        original_learned=start.parent is None or start.parent.metrics.warning is None,
    )
    remembered = memorisation(unlearned.model, without_forgotten(loaded.dataset, unlearned.partition))
    learned = {"memorisation": asdict(remembered) if remembered else None, "warning": warning_of(remembered)}
    return Done(request, weights_digest(parent.network), unlearned, verification, outcome, learned)


def with_recipe(spec: ForgetSpec, model: ModelRow) -> ForgetSpec:
    """Retraining by the model's own recipe unless another one was sent."""
    if isinstance(spec.parameters, RetrainParameters) and spec.parameters.training is None:
        return replace(spec, parameters=replace(spec.parameters, training=model.training))
    return spec


def _publish(start: publishing.Start, loaded: LoadedDataset, done: Done, claim: SupportedClaim) -> None:
    attempt = start.attempt
    staged = publishing.stage(start, loaded, done.unlearned.model, _new_version(start, done, claim))
    told = {"version": start.number, "verdict": done.outcome.verdict, "claim": claim.level}
    with attempt.succeeding(told) as session:
        _bury(session, done.request)
        # Every version so far remembers what is forgotten now for the first time.
        quarantined = versions.quarantine(session, versions.available_versions(start.model))
        publishing.publish(session, start, staged, serve=True, quarantined=quarantined)
        _complete(session, start, done, claim, digest=staged.manifest.weights_digest)
    guards.destroy_deleted(attempt.database, attempt.settings)
    observation_files.destroy_outdated(attempt.database, attempt.settings)
    if attempt.settings.retention_days == 0:
        versions.purge_all(attempt.database, attempt.settings, start.model.id, by=attempt.by)
        reference_files.purge_outdated(attempt.database, attempt.settings)


def _new_version(start: publishing.Start, done: Done, claim: SupportedClaim) -> publishing.NewVersion:
    assert start.parent is not None
    report, request = done.unlearned.report, done.request
    after = asdict(report.after)
    measured = {name: after[name] for name in after.keys() & VersionMetrics.model_fields.keys()}
    inherited = start.parent.metrics.model_dump()
    seconds = {
        "training_seconds": report.seconds["method"],
        "training_cpu_seconds": report.cpu_seconds["method"],
    }
    return publishing.NewVersion(
        origin="unlearned",
        parent=start.parent,
        forgotten=sorted([*start.forgotten, *request.target.classes]),
        num_samples=len(start.forgotten_samples) + len(request.target.samples),
        claim=claim,
        # What learning tasks came to, how much of earlier ones it cost, is the parent's; nothing was learned here.
        metrics=VersionMetrics.model_validate(inherited | measured | seconds | done.learned),
        recipe={"forget": report.settings},
        seed=request.seed,
        importance=done.unlearned.importance,
        guard=done.unlearned.guard,
        forget_request=request.id,
        verification=done.verification_json,
    )


def _bury(session: Session, request: ForgetRequestRow) -> None:
    """Set the tombstones, the record of what this model may never learn again."""
    shared = {
        "model_id": request.model_id,
        "forget_request_id": request.id,
        "created_at": database_now(session),
    }
    kinds = {"class": request.target.classes, "sample": request.target.samples}
    rows = [{**shared, "kind": kind, "item": item} for kind, items in kinds.items() for item in items]
    session.execute(insert(TombstoneRow), rows)


def _complete(session: Session, start: publishing.Start, done: Done, claim: SupportedClaim, *, digest: str) -> None:
    row = _judged(session, start, done, status="completed")
    row.claim, row.version = claim.level, start.number
    if start.attempt.settings.verify_before_purge:
        verifications.queue_before_purge(session, by=start.attempt.by, request=row, version=start.number)
    row.verification_id = _recorded(session, start, row, done, digest=digest)
    log.append(
        session,
        "forget.completed",
        by=start.attempt.by,
        model=start.model.name,
        version=start.number,
        forget_request=row.id,
        details={
            **_details(start),
            **targets.logged(row.target),
            "digest": digest,
            "claim": claim.level,
            "verdict": done.outcome.verdict,
            **_measured(done.unlearned),
        },
    )


def _refuse(start: publishing.Start, done: Done) -> None:
    """Something was missed: keep the report, publish nothing, let the parent serve on."""
    verdict, missed = done.outcome.verdict, list(done.outcome.missed)
    with start.attempt.succeeding({"version": None, "verdict": verdict, "missed": missed}) as session:
        row = _judged(session, start, done, status="failed")
        row.verification_id = _recorded(session, start, row, done, digest=None)
        log.append(
            session,
            "forget.failed",
            by=start.attempt.by,
            model=start.model.name,
            forget_request=done.request.id,
            details={**_details(start), "verdict": verdict, "missed": missed},
        )


def _recorded(
    session: Session, start: publishing.Start, row: ForgetRequestRow, done: Done, *, digest: str | None
) -> UUID:
    """The id under which the verification is kept; `digest` is that of the published weights, if any are."""
    return verifications.record(
        session,
        by=start.attempt.by,
        request=row,
        version=row.version,
        digest=digest,
        report=done.verification_json,
        original_digest=done.original_digest,
    )


def _judged(session: Session, start: publishing.Start, done: Done, *, status: ForgetStatus) -> ForgetRequestRow:
    """The request with its result."""
    row = session.get_one(ForgetRequestRow, done.request.id)
    row.status = status
    row.verdict = done.outcome.verdict
    row.parent_version = start.parent.number if start.parent else None
    row.report = asdict(done.unlearned.report) | {"verification": done.verification_json}
    row.completed_at = database_now(session)
    return row


def _details(start: publishing.Start) -> dict[str, Any]:
    parent = {"parent_version": start.parent.number} if start.parent else {}
    return {"job": str(start.attempt.job_id), **parent}


def _measured(unlearned: Unlearned) -> dict[str, str]:
    """The figures that the log keeps, as decimal strings."""
    after = asdict(unlearned.report.after)
    names = ("forget_accuracy", "retain_accuracy", "test_accuracy", "refusal_rate", "false_refusal_rate")
    return {name: decimal_text(after[name]) for name in names if after[name] is not None}


def ended(session: Session, job: JobRow) -> None:
    """End the request, and references that nobody else waits for, with the job that failed or was cancelled; log it."""
    references.release(session, job)
    request = session.get_one(ForgetRequestRow, UUID(job.spec["forget_request"]))
    model = session.get_one(ModelRow, job.model_id)
    request.status = job.status
    request.completed_at = database_now(session)
    log.append(
        session,
        f"forget.{job.status}",
        by=job.by,
        model=model.name,
        forget_request=request.id,
        details=publishing.ending(job),
    )
