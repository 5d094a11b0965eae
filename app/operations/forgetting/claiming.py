"""What a request may claim at most: by method and refusal, by its references, and by the version it will start from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.contract.verifying import Reference
from app.database.tables import ForgetRequestRow, ModelRow, VersionRow
from app.errors import ClaimOutOfReach
from app.operations.lookups import waiting_jobs
from app.operations.training.publishing import claim_of
from app.specs.claims import CLAIMS, LEAST_REFERENCES, Claim, claim_of_version, weakest
from app.specs.methods import sought_by
from app.specs.refusing import Refusal


@dataclass(frozen=True)
class Bounds:
    """What bounds a claim beside the method."""

    refusal: Refusal
    """The refusal that will be fitted: a request for samples asks for none, but classes pushed earlier are pushed
    again."""
    reference: Reference
    num_references: int
    parent: Claim | None = None
    """The claim of the version that the request will start from; None where that version will have forgotten
    nothing."""

    @property
    def enough_references(self) -> bool:
        """Whether the references are enough to show that a result is like a retrained model."""
        return self.reference != "none" and self.num_references >= LEAST_REFERENCES


def most_claimable(method: str, bounds: Bounds) -> Claim:
    """The most that the version will claim, if everything holds."""
    sought = sought_by(method, bounds.refusal)
    shown = "edited" if sought == "approximate" and not bounds.enough_references else sought
    return claim_of_version(shown, bounds.parent)


def with_parent(session: Session, model: ModelRow, bounds: Bounds, *, samples: bool) -> Bounds:
    """The bounds on a model as it will be when the jobs queued before have ended, each with the most it may claim."""
    serving = session.get(VersionRow, (model.id, model.serving_version)) if model.serving_version else None
    parent, pushed = claim_of(serving), _pushed(session, model)
    for job in waiting_jobs(session, model.id):
        if job.kind != "forget":
            parent = None if parent is None else weakest(parent, "edited")
            continue
        request = session.get_one(ForgetRequestRow, UUID(job.spec["forget_request"]))
        parent = most_claimable(request.method, replace(bounds_of(request, pushed=pushed), parent=parent))
        pushed = pushed or request.refusal == "push"
    return replace(bounds, refusal="push" if samples and pushed else bounds.refusal, parent=parent)


def bounds_of(request: ForgetRequestRow, *, pushed: bool) -> Bounds:
    """The bounds of a stored request without its parent; `pushed` says whether a class was pushed before."""
    refusal = "push" if request.target.kind == "samples" and pushed else request.refusal
    return Bounds(refusal, request.reference, request.num_references)


def refuse_out_of_reach(request: ForgetRequestRow, parent: VersionRow, *, pushed: bool) -> None:
    """Raise `ClaimOutOfReach` where a version made from `parent` cannot claim what the request demands at least."""
    if request.min_claim is None:
        return
    bounds = replace(bounds_of(request, pushed=pushed), parent=claim_of(parent))
    check_reach(request.min_claim, request.method, bounds)


def check_reach(least: Claim | None, method: str, bounds: Bounds) -> None:
    """Raise `ClaimOutOfReach` where even the most that is sought would be too little, because of the version before."""
    most = most_claimable(method, bounds)
    if least is None or CLAIMS.index(most) >= CLAIMS.index(least):
        return
    raise ClaimOutOfReach(
        f"{_why_no_more(method, bounds)}, so a version made by {method} claims no more than {most}; send min_claim {most} or "
        "weaker, or a method that learns everything anew"
    )


def _why_no_more(method: str, bounds: Bounds) -> str:
    if bounds.refusal == "push" and sought_by(method, "push") != sought_by(method, "none"):
        return "a class that was pushed before is pushed again, which trains on its images"
    return f"the version before claims {bounds.parent} of what it has forgotten"


def _pushed(session: Session, model: ModelRow) -> bool:
    """Whether a class was ever pushed by a request that was completed."""
    pushed = exists().where(
        ForgetRequestRow.model_id == model.id,
        ForgetRequestRow.status == "completed",
        ForgetRequestRow.refusal == "push",
    )
    return bool(session.scalar(select(pushed)))
