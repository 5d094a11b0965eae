"""Which method to forget by: what speaks for and against each, and the one that `auto` takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app import specs
from app.database.tables import ModelRow
from app.errors import FieldError, NotApplicable
from app.method_specs import (
    CLAIM_CAP,
    CLAIMS,
    METHOD_SPECS,
    Claim,
    MethodName,
    Target,
    reasons_against,
    reasons_against_edit,
)
from app.operations import costs, targets, tasks
from app.schemas import Candidate, ForgetCreate, ProblemError, Reference

PREFERENCE: dict[Target, tuple[str, ...]] = {
    "classes": (
        "euk",
        "scrub",
        "neggrad_plus",
        "bad_teacher",
        "finetune",
        "salun",
        "ssd",
        "projection",
        "retrain",
        "edit",
    ),
    "tasks": ("edit", "retrain"),
    "samples": ("sisa", "euk", "scrub", "neggrad_plus", "finetune", "bad_teacher", "salun", "retrain"),
}
"""The first that fits is taken. The order is fixed: by how near retrained models each came in trials on MNIST while the methods
were made, editing and exact retraining last for their claim and their time; nothing is measured on the model at hand."""


@dataclass(frozen=True)
class Chosen:
    """The method to be used, and every other one with what speaks against it."""

    method: str
    why: str
    """A sentence."""
    candidates: list[Candidate]
    """Of every method, in the order of preference, those that do not apply at the end."""
    expected_reference_seconds: float | None = None
    """Of the references that a request waits for; None where none is wanted, or nothing was trained yet."""


def choose(session: Session, model: ModelRow, body: ForgetCreate, target: targets.Target) -> Chosen:
    """The method asked for or, of `auto`, the first preferred one that applies and keeps the limits.

    Raises NotApplicable where `auto` finds none, with what speaks against each.
    """
    work = work_on(session, model, target)
    found = candidates(model, target_kind(target), body.refusal, work, body.reference)
    asked_for: Any = body.method
    references = _reference_seconds(body, work)
    if asked_for != "auto":
        return Chosen(asked_for, "It was asked for by name.", found, references)
    judged = [_within_limits(each, body) for each in found]
    fitting = [each for each in judged if each.applicable]
    if not fitting:
        raise _none_fits(judged)
    best = _best(fitting)
    return Chosen(best.method, _why(best, fitting, body), judged, references)


def target_kind(target: targets.Target) -> Target:
    """Whether classes, tasks or samples are to be forgotten."""
    if "samples" in target:
        return "samples"
    return "tasks" if "tasks" in target else "classes"


def work_on(session: Session, model: ModelRow, target: targets.Target) -> costs.Work | None:
    """How many rows are to be forgotten and to stay; None while nothing was trained."""
    rows = costs.trained_rows(session, model)
    if rows is None:
        return None
    going, samples = set(target.get("classes", [])), len(target.get("samples", []))
    stay = targets.learned_classes(session, model) - targets.gone_classes(session, model) - going
    return costs.Work(rows, rows.of(going) + samples, max(rows.of(stay) - samples, 0))


def candidates(
    model: ModelRow, target: Target, refusal: specs.Refusal, work: costs.Work | None, reference: Reference = "wait"
) -> list[Candidate]:
    """Every method with its default parameters: whether it applies, its claim at most, and what it would take."""
    names = [*PREFERENCE[target], *(name for name in ("edit", *METHOD_SPECS) if name not in PREFERENCE[target])]
    found = [_candidate(name, model, target, refusal, work=work, reference=reference) for name in names]
    return sorted(found, key=lambda candidate: not candidate.applicable)


def claim_of(method: str, refusal: specs.Refusal, reference: Reference) -> Claim:
    """The most that may be claimed; without a reference nobody can say that a result is like a retrained model."""
    if method == "edit":
        return min("edited", CLAIM_CAP[refusal], key=CLAIMS.index)
    most = METHOD_SPECS[costs.METHOD_NAMES[method]].claim_with(refusal)
    return "edited" if most == "approximate" and reference == "none" else most


def reasons(method: str, model: ModelRow, target: Target, refusal: specs.Refusal) -> list[FieldError]:
    """Everything that speaks against a method for this model and target."""
    mode: specs.Mode = model.learning["mode"]
    if method == "edit":
        return reasons_against_edit(target, mode, refusal)
    architecture = tasks.ARCHITECTURE.validate_python(model.architecture)
    spec = METHOD_SPECS[costs.METHOD_NAMES[method]]
    return reasons_against(spec, target=target, mode=mode, architecture=architecture, refusal=refusal)


def _candidate(
    name: str,
    model: ModelRow,
    target: Target,
    refusal: specs.Refusal,
    *,
    work: costs.Work | None,
    reference: Reference,
) -> Candidate:
    against = reasons(name, model, target, refusal)
    return Candidate(
        method=name,
        refusal=refusal,
        claim=claim_of(name, refusal, reference),
        expected_seconds=None if against or work is None else work.seconds(name, default_parameters(name), refusal),
        applicable=not against,
        reasons=[ProblemError(pointer=fault.pointer, detail=fault.detail) for fault in against],
    )


def default_parameters(method: str) -> Any:
    """The parameters of a method of which nothing was said."""
    return parameters_type(method)()


def parameters_type(method: str) -> type[Any]:
    """The dataclass of a method's parameters."""
    if method == "edit":
        return specs.EditParameters
    name: MethodName = costs.METHOD_NAMES[method]
    return METHOD_SPECS[name].parameters


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
    """The first, unless one that may claim more is expected to take no longer."""
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


def _reference_seconds(body: Any, work: costs.Work | None) -> float | None:
    if work is None or body.reference != "wait":
        return None
    return work.reference_seconds(body.num_references)
