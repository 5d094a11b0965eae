"""From a gate and a verification to a verdict and a claim: what a request ends as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.specs.claims import CLAIMS, LEAST_REFERENCES, Claim, weakest
from app.unlearning.judging import gate
from app.unlearning.judging.verifying.claims import Sought, SupportedClaim, strongest_claim
from app.unlearning.judging.verifying.control import compares, telling_figures
from app.unlearning.judging.verifying.deep_verification import Verdict, VerificationReport
from app.unlearning.judging.verifying.verdicts import Criterion

_OF_THE_METHOD = {
    "weights_changed",
    "method_changed_weights",
    "effect",
    "direction",
    "class_direction",
    "output_rows_replaced",
    "output_rows_struck",
}
_UPPER: tuple[Claim, ...] = ("approximate", "exact")


@dataclass(frozen=True)
class Outcome:
    """How a request ends: published unless it failed, and then with this claim."""

    verdict: Verdict
    """`passed`: the gate held, and what was sought could be judged; the claim says how much of it held. `inconclusive`:
    the gate held, and nothing could tell whether more than `edited` did."""
    claim: SupportedClaim | None
    """The claim with its evidence; None where nothing is published."""
    missed: tuple[str, ...]
    """Names of the criteria that made the request fail."""


def conclude(
    judged: Sequence[gate.Criterion],
    sought: Sought,
    verification: VerificationReport,
    *,
    min_claim: Claim | None = None,
    original_learned: bool = True,
) -> Outcome:
    """The outcome of a forget request, from its gate and the verification of the same weights.

    The gate, which looks at calibration rows and at what the method did to the forget set, decides whether there is a
    result; test rows, which the verification looks at, decide whether more than `edited` may be claimed. The gate
    cannot tell whether samples are gone: they are absent from every weight, or a comparison with retrained models shows
    it, or nothing can be told. If the original had learned nothing (`original_learned` is false), nothing but an exact
    result can be told.
    """
    claim = supported_claim(judged, sought, verification)
    missed = [criterion.name for criterion in judged if not criterion.passed]
    about_samples = not verification.forget_classes
    if about_samples and not sought.absent:
        missed += _not_shown(verification)
    verdict = _verdict(claim, sought, verification, original_learned=original_learned)
    if claim is not None and verdict == "inconclusive":
        claim = replace(claim, cap=weakest(claim.cap, "edited"))
    if not missed and min_claim is not None and (claim is None or _rank(claim.level) < _rank(min_claim)):
        missed.append("min_claim")
    if missed or claim is None:
        return Outcome("failed", None, tuple(missed))
    return Outcome(verdict, claim, ())


def _verdict(
    claim: SupportedClaim | None, sought: Sought, verification: VerificationReport, *, original_learned: bool
) -> Verdict:
    """The verdict of a result that is published: `passed`, unless nothing could tell what is left."""
    exact = claim is not None and claim.shown == "exact"
    if exact:
        return "passed"
    held = claim is not None and claim.shown == sought.claim
    told = held if verification.forget_classes or sought.absent else False
    return "passed" if original_learned and (told or _could_be_told(sought, verification)) else "inconclusive"


def _could_be_told(sought: Sought, verification: VerificationReport) -> bool:
    """Whether it could be told what is left, although that may support less than was sought.

    A figure had power; or nothing that is forgotten has a part in any weight, and no comparison speaks against it.
    """
    if telling_figures(verification.criteria):
        return True
    enough = len(verification.references) >= LEAST_REFERENCES
    against = any(found.passed is False for found in verification.criteria if compares(found))
    return enough and sought.absent and not against


def _not_shown(verification: VerificationReport) -> list[str]:
    """The criteria that speak against samples being forgotten to which the weights were once fitted.

    Either the answers to them are farther from retrained models than before, or no figure that could show that they are
    forgotten does.
    """
    nearer = [figure for found in verification.criteria if found.name == "nearer" for figure in found.measurements]
    farther = any(figure.low is not None and figure.low > 0 for figure in nearer)
    telling = telling_figures(verification.criteria)
    shown = any(figure.passed for figure in telling)
    return [*(["nearer"] if farther else []), *(["shown"] if telling and not shown else [])]


def supported_claim(
    judged: Sequence[gate.Criterion], sought: Sought, verification: VerificationReport | None = None
) -> SupportedClaim | None:
    """The strongest claim that a gate and, for more than `edited`, a verification are evidence for; None if none is."""
    criteria = [_as_evidence(criterion) for criterion in judged]
    upward = _upward(verification) if verification else ()
    return strongest_claim([*criteria, *upward], sought.claim, sought.parent_claim)


def _as_evidence(criterion: gate.Criterion) -> Criterion:
    """What the gate judged, as evidence for the lower claims."""
    level: Claim = "edited" if criterion.name in _OF_THE_METHOD else "suppressed"
    return Criterion(0, criterion.name, criterion.detail, level, criterion.passed, controlled=False)


def _upward(verification: VerificationReport) -> list[Criterion]:
    """The verification's criteria for the upper claims.

    The criteria of the lower claims, which the gate decides, must hold for an upper one, too. An upper claim without a
    criterion of its own in the verification stays without evidence.
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
