"""From a gate and a verification to a verdict and a claim: what a request ends as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.method_specs import CLAIMS, Claim
from app.unlearning import gate
from app.unlearning.verifying.claims import Sought, SupportedClaim, strongest_claim
from app.unlearning.verifying.deep_verification import Verdict, VerificationReport
from app.unlearning.verifying.verdicts import Criterion

_OF_THE_METHOD = {"weights_changed", "method_changed_weights", "output_rows_replaced", "output_rows_struck"}
_UPPER: tuple[Claim, ...] = ("approximate", "exact")


@dataclass(frozen=True)
class Outcome:
    """How a request ends: published unless it failed, and then with this claim."""

    verdict: Verdict
    claim: SupportedClaim | None
    """None where nothing is published."""
    missed: tuple[str, ...]
    """Names of what made it fail."""


def conclude(
    judged: Sequence[gate.Criterion],
    sought: Sought,
    verification: VerificationReport,
    *,
    min_claim: Claim | None = None,
) -> Outcome:
    """The outcome of a forget request, from its gate and the verification of the same weights.

    The gate, which looks at calibration rows alone, decides whether there is a result; test rows, which the verification
    looks at, decide only whether more than `edited` may be claimed. Of samples that the method has read, the gate cannot
    tell whether they are absent: that they are no farther from retrained models than before is then demanded, too.
    """
    claim = supported_claim(judged, sought, verification)
    missed = [criterion.name for criterion in judged if not criterion.passed]
    if not verification.forget_classes and "retained_rows_alone" not in {criterion.name for criterion in judged}:
        missed += [found.name for found in verification.criteria if found.name == "nearer" and found.passed is False]
    if not missed and min_claim is not None and (claim is None or _rank(claim.level) < _rank(min_claim)):
        missed.append("min_claim")
    if missed or claim is None:
        return Outcome("failed", None, tuple(missed))
    unjudged = sought.method_claim == "approximate" and not verification.references
    return Outcome("inconclusive" if unjudged else "passed", claim, ())


def supported_claim(
    judged: Sequence[gate.Criterion], sought: Sought, verification: VerificationReport | None = None
) -> SupportedClaim | None:
    """The strongest claim that a gate and, for more than `edited`, a verification are evidence for; None if none is."""
    criteria = [_as_evidence(criterion) for criterion in judged]
    return strongest_claim([*criteria, *(_upward(verification) if verification else ())], sought.claim)


def _as_evidence(criterion: gate.Criterion) -> Criterion:
    """What the gate judged, as evidence for the lower claims."""
    level: Claim = "edited" if criterion.name in _OF_THE_METHOD else "suppressed"
    return Criterion(0, criterion.name, criterion.detail, level, criterion.passed, controlled=False)


def _upward(verification: VerificationReport) -> list[Criterion]:
    """Its criteria for the upper claims; those of the lower ones, which the gate decides, must hold for an upper one, too.

    An upper claim that the verification has no criterion of its own for stays without evidence.
    """
    found: list[Criterion] = []
    for level in _UPPER:
        if any(criterion.needed_for == level for criterion in verification.criteria):
            demanded = [criterion for criterion in verification.criteria if criterion.needed_for not in _UPPER]
            demanded += [criterion for criterion in verification.criteria if criterion.needed_for == level]
            found += [replace(criterion, needed_for=level) for criterion in demanded]
    return found


def _rank(claim: Claim) -> int:
    return CLAIMS.index(claim)
