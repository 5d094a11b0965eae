"""Which method to forget by: what speaks for and against each, and the one that `auto` takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.contract.forgetting import Candidate, ForgetCreate
from app.contract.problems import ProblemError
from app.database.tables import ModelRow, VersionRow
from app.errors import FieldError, NotApplicable
from app.operations.forgetting import claiming, costs, targets
from app.specs.architectures import Cnn, Torchvision
from app.specs.claims import CLAIMS
from app.specs.methods import METHOD_SPECS, MethodName, sought_by
from app.specs.methods.method import reasons_against
from app.specs.methods.work import Work
from app.specs.refusing import Refusal
from app.specs.target import Target, TargetKind

_BEYOND_CHANCE = 1.645  # one-sided 95 %, in standard errors
_EXACT_INSTEAD = "So the first method is taken whose weights were never fitted to them."
_NO_EXACT = "No exact method keeps the limits, so expect the verdict inconclusive."


@dataclass(frozen=True)
class Chosen:
    """The method to be used and, where it was not asked for by name, every one with what speaks against it."""

    method: str
    why: str
    """A sentence that says why this method was chosen."""
    candidates: list[Candidate]
    """One candidate per method, in the order of preference, methods that do not apply at the end; empty where one was asked
    for by name."""


def choose(session: Session, model: ModelRow, body: ForgetCreate, target: Target) -> Chosen:
    """The method asked for, without a price, or, for `auto`, the first preferred one that applies and keeps the limits.

    Raises NotApplicable where `auto` finds none, with what speaks against each.
    """
    asked_for: Any = body.method
    if asked_for != "auto":
        return Chosen(asked_for, "It was asked for by name.", [])
    judged = [_within_limits(each, body) for each in candidates(session, model, body, target)]
    fitting = [each for each in judged if each.applicable]
    if not fitting:
        raise _none_fits(judged)
    unshown = _cannot_be_shown(session, model, target)
    exact = [each for each in fitting if sought_by(each.method, "none") == "exact"]  # whatever caps the claim besides
    if unshown and exact:
        return Chosen(exact[0].method, f"{unshown} {_EXACT_INSTEAD}", judged)
    best = _best(fitting)
    why = _why(best, fitting, body)
    return Chosen(best.method, f"{why} {unshown} {_NO_EXACT}" if unshown else why, judged)


def bounds_on(session: Session, model: ModelRow, body: ForgetCreate, target: Target) -> claiming.Bounds:
    """What bounds the claim of a request on this model, beside its method."""
    asked = claiming.Bounds(body.refusal, body.reference, body.num_references)
    return claiming.with_parent(session, model, asked, samples=target.kind == "samples")


def _cannot_be_shown(session: Session, model: ModelRow, target: Target) -> str | None:
    """Why no comparison with retrained models could show that samples are forgotten; None where one may.

    The original must tell its rows from unseen ones; otherwise no figure that could tell it has power. None for classes
    and tasks.
    """
    if target.kind != "samples" or model.serving_version is None:
        return None
    version = session.get_one(VersionRow, (model.id, model.serving_version))
    found, count = version.metrics.memorisation, len(target.samples)
    if found is None:
        return f"How well version {version.number} tells its training rows from unseen ones was not measured."
    seen, unseen, area = found.train_accuracy, found.unseen_accuracy, found.membership_auc
    gap, least_gap = seen - unseen, _BEYOND_CHANCE * math.sqrt(max(unseen * (1 - unseen), 1 / count) / count)
    edge, least_edge = area - 0.5, _BEYOND_CHANCE / math.sqrt(12 * count)
    if gap > least_gap or edge > least_edge:
        return None
    return (
        f"Version {version.number} tells its training rows from unseen ones by {gap:.3f} of accuracy and an AUC of {area:.3f}, "
        f"which of {count} rows is no more than chance ({least_gap:.3f}, {0.5 + least_edge:.3f}): no comparison could show "
        "that they are forgotten."
    )


def work_on(session: Session, model: ModelRow, target: Target) -> Work | None:
    """How many rows are to be forgotten and to stay; None while nothing was trained."""
    rows = costs.trained_rows(session, model)
    if rows is None:
        return None
    going, samples = set(target.classes), len(target.samples)
    stay = targets.learned_classes(session, model) - targets.gone_classes(session, model) - going
    return Work(rows, rows.of(going) + samples, max(rows.of(stay) - samples, 0))


def candidates(session: Session, model: ModelRow, body: ForgetCreate, target: Target) -> list[Candidate]:
    """Every method with its default parameters: whether it applies, its claim at most, and what it would take.

    They are in the order of preference, those that do not apply at the end.
    """
    work, bounds = work_on(session, model, target), bounds_on(session, model, body, target)
    order = _in_order(target.kind, model)
    found = [_candidate(name, model, target.kind, body.refusal, work=work, bounds=bounds) for name in order]
    return sorted(found, key=lambda candidate: not candidate.applicable)


def applicable(model: ModelRow, target: TargetKind, refusal: Refusal) -> list[str]:
    """The methods that nothing speaks against, in the order of preference."""
    return [name for name in _in_order(target, model) if not reasons(name, model, target, refusal)]


def _in_order(target: TargetKind, model: ModelRow) -> list[MethodName]:
    """Every method, the preferred ones first."""
    convolutional = isinstance(model.architecture, Cnn | Torchvision)
    return sorted(METHOD_SPECS, key=lambda name: METHOD_SPECS[name].rank(target, convolutional=convolutional))


def reasons(method: MethodName, model: ModelRow, target: TargetKind, refusal: Refusal) -> list[FieldError]:
    """Everything that speaks against a method for this model and target."""
    return reasons_against(
        METHOD_SPECS[method],
        target=target,
        mode=model.learning.mode,
        architecture=model.architecture,
        refusal=refusal,
    )


def _candidate(
    name: str,
    model: ModelRow,
    target: TargetKind,
    refusal: Refusal,
    *,
    work: Work | None,
    bounds: claiming.Bounds,
) -> Candidate:
    against, default = reasons(name, model, target, refusal), METHOD_SPECS[name].parameters()
    return Candidate(
        method=name,
        refusal=refusal,
        claim=claiming.most_claimable(name, bounds),
        expected_seconds=None if against or work is None else costs.seconds(work, name, default, refusal),
        applicable=not against,
        reasons=[ProblemError(pointer=fault.pointer, detail=fault.detail) for fault in against],
    )


def _within_limits(candidate: Candidate, body: Any) -> Candidate:
    """The candidate, not applicable any more where it claims too little or takes too long."""
    against = list(candidate.reasons)
    if body.min_claim is not None and CLAIMS.index(candidate.claim) < CLAIMS.index(body.min_claim):
        detail = f"It may claim {candidate.claim} at most, and {body.min_claim} is wanted."
        against.append(ProblemError(pointer="/min_claim", detail=detail))
    seconds = candidate.expected_seconds
    if body.max_seconds is not None and seconds is not None and seconds > body.max_seconds:
        detail = f"It is expected to take {seconds:g} seconds, more than {body.max_seconds:g}."
        against.append(ProblemError(pointer="/max_seconds", detail=detail))
    return candidate.model_copy(update={"reasons": against, "applicable": not against})


def _best(fitting: list[Candidate]) -> Candidate:
    """The first candidate, unless one that may claim more is expected to take no longer."""
    first = fitting[0]
    if first.expected_seconds is None:
        return first
    as_fast = [
        each
        for each in fitting
        if each.expected_seconds is not None and each.expected_seconds <= first.expected_seconds
    ]
    return max(as_fast, key=lambda each: CLAIMS.index(each.claim))


def _why(best: Candidate, fitting: list[Candidate], body: Any) -> str:
    if best is not fitting[0]:
        return f"It may claim {best.claim} and is expected to take no longer than {fitting[0].method}."
    limits = [
        f"claims at least {body.min_claim}" if body.min_claim is not None else "",
        f"keeps {body.max_seconds:g} seconds" if body.max_seconds is not None else "",
    ]
    kept = " and ".join(limit for limit in limits if limit)
    demanded = f", and {kept}" if kept else ""
    return f"Of the methods that apply here it stands first in the server's fixed order{demanded}."


def _none_fits(judged: list[Candidate]) -> NotApplicable:
    errors = [FieldError(fault.pointer, f"{each.method}: {fault.detail}") for each in judged for fault in each.reasons]
    return NotApplicable("no method fits; loosen max_seconds or min_claim, or send another refusal", errors=errors)
