"""Rows as the wire shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.addresses import followable
from app.contract.forgetting import ForgetRequest
from app.contract.jobs import Job
from app.contract.models import Forgotten, Model
from app.contract.versions import Version, VersionGuard
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, TombstoneRow, VersionRow
from app.specs.claims import EVIDENCE, Claim, claim_of_version
from app.specs.learning import forgotten_tasks
from app.specs.methods import sought_by


def model_views(session: Session, rows: Sequence[ModelRow]) -> list[Model]:
    """Models with their latest version and what they have forgotten, in four statements however many there are."""
    ids = [row.id for row in rows]
    latest = dict(
        session.execute(
            select(VersionRow.model_id, func.max(VersionRow.number))
            .where(VersionRow.model_id.in_(ids))
            .group_by(VersionRow.model_id)
        ).all()
    )
    forgotten, num_samples = forgotten_classes(session, ids), _num_forgotten_samples(session, ids)
    return [
        Model(
            name=row.name,
            dataset=row.dataset,
            architecture=to_jsonable_python(row.architecture),
            learning=to_jsonable_python(row.learning),
            training=to_jsonable_python(row.training),
            serving_version=row.serving_version,
            latest_version=latest.get(row.id),
            forgotten=Forgotten(
                classes=forgotten[row.id],
                tasks=forgotten_tasks(row.learning.tasks, forgotten[row.id]),
                num_samples=num_samples.get(row.id, 0),
            ),
            created_at=row.created_at,
        )
        for row in rows
    ]


def forgotten_classes(session: Session, model_ids: Sequence[UUID]) -> dict[UUID, list[int]]:
    """The classes each model may never learn again, in ascending order."""
    found: dict[UUID, list[int]] = {model_id: [] for model_id in model_ids}
    tombstones = (
        select(TombstoneRow.model_id, TombstoneRow.item)
        .where(TombstoneRow.model_id.in_(model_ids), TombstoneRow.kind == "class")
        .order_by(TombstoneRow.item)
    )
    for model_id, item in session.execute(tombstones):
        found[model_id].append(item)
    return found


def forgotten_samples(session: Session, model_id: UUID) -> list[int]:
    """The rows of the training file that a model may never learn again, in ascending order."""
    tombstones = (
        select(TombstoneRow.item)
        .where(TombstoneRow.model_id == model_id, TombstoneRow.kind == "sample")
        .order_by(TombstoneRow.item)
    )
    return list(session.scalars(tombstones))


def _num_forgotten_samples(session: Session, model_ids: Sequence[UUID]) -> dict[UUID, int]:
    counted = (
        select(TombstoneRow.model_id, func.count())
        .where(TombstoneRow.model_id.in_(model_ids), TombstoneRow.kind == "sample")
        .group_by(TombstoneRow.model_id)
    )
    return dict(session.execute(counted).all())


def model_view(session: Session, row: ModelRow) -> Model:
    """One model."""
    return model_views(session, [row])[0]


def _guard_view(row: VersionRow) -> VersionGuard | None:
    guard = row.manifest.get("guard")
    return VersionGuard(classes=guard["classes"], deleted_at=row.guard_deleted_at) if guard else None


def version_view(model: ModelRow, row: VersionRow) -> Version:
    """One version of a model."""
    return Version.model_validate(
        {
            "model": model.name,
            "number": row.number,
            "state": row.state,
            "serving": model.serving_version == row.number,
            "origin": row.origin,
            "parent": row.parent,
            "digest": row.digest,
            "forgotten": row.forgotten,
            "claim": row.claim,
            "metrics": row.metrics,
            "warning": row.metrics.warning,
            "created_at": row.created_at,
            "forget_request": row.forget_request_id,
            "guard": _guard_view(row),
            "manifest": row.manifest,
        }
    )


def job_view(row: JobRow, model_name: str) -> Job:
    """One job, of the model of this name."""
    return Job.model_validate(
        {
            "id": row.id,
            "kind": row.kind,
            "status": row.status,
            "model": model_name,
            "progress": row.progress,
            "attempts": row.attempts,
            "result": _with_followable_problems(row.result),
            "problem": _with_followable_links(row.problem),
            "created_at": row.created_at,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
        }
    )


def _with_followable_problems(result: dict[str, Any] | None) -> dict[str, Any] | None:
    """A comparison tells the problem of each method that failed."""
    if result is None or "rows" not in result:
        return result
    return result | {"rows": [row | {"problem": _with_followable_links(row["problem"])} for row in result["rows"]]}


def _with_followable_links(problem: dict[str, Any] | None) -> dict[str, Any] | None:
    """A stored problem has its links as they are without a proxy in front."""
    if problem is None:
        return None
    return problem | {name: followable(problem[name]) for name in ("type", "instance") if problem.get(name)}


def forget_request_view(
    row: ForgetRequestRow, job: JobRow, model_name: str, *, most_samples: int | None = None
) -> ForgetRequest:
    """One forget request with its job, and at most this number of its samples (None: all)."""
    shown = replace(row.target, samples=row.target.samples[:most_samples])
    return ForgetRequest.model_validate(
        {
            "id": row.id,
            "model": model_name,
            "target": shown.as_json(),
            "method": row.method,
            "requested_method": row.requested_method,
            "strategy": row.strategy,
            "scope": row.scope,
            "refusal": row.refusal,
            "reference": row.reference,
            "num_references": row.num_references,
            "min_claim": row.min_claim,
            "num_samples": len(row.target.samples),
            "verification": row.verification_id,
            "status": row.status,
            "verdict": row.verdict,
            "claim": row.claim,
            **_sought(row),
            "parent_version": row.parent_version,
            "version": row.version,
            "report": row.report,
            "reason": row.reason,
            "received_at": row.received_at,
            "completed_at": row.completed_at,
            "job": job_view(job, model_name),
        }
    )


def _sought(row: ForgetRequestRow) -> dict[str, Any]:
    """What was sought and, for a completed request, what was missed for it; both follow from what is stored."""
    verification = (row.report or {}).get("verification")
    if verification is None:
        sought = sought_by(row.method, row.refusal)
        return {"sought": sought, "missed_for_sought": []}
    sought = verification["sought"]
    if row.status != "completed" or row.claim == sought:
        return {"sought": sought, "missed_for_sought": []}
    missed = [_missed(found) for found in verification["criteria"] if _is_missed(found, sought)]
    parent = verification.get("parent_claim")
    if parent is not None and claim_of_version(sought, parent) != sought:
        detail = f"The version before claims {parent}, and this one is about everything forgotten so far."
        missed.append({"name": "parent_claim", "detail": detail, "figures": []})
    return {"sought": sought, "missed_for_sought": missed}


def _is_missed(criterion: dict[str, Any], sought: Claim) -> bool:
    """Whether the criterion counts for the claim sought, and did not hold or could not be judged."""
    counts = criterion["needed_for"] in EVIDENCE[sought] and criterion.get("power") is not False
    return counts and criterion["passed"] is not True


def _missed(criterion: dict[str, Any]) -> dict[str, Any]:
    what = "did not hold" if criterion["passed"] is False else "could not be judged"
    figures = [
        figure for figure in criterion["measurements"] if figure["passed"] is False and figure["power"] is not False
    ]
    return {"name": criterion["name"], "detail": f"{criterion['statement']} It {what}.", "figures": figures}
