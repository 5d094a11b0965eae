"""Verdicts and claims from criteria made by hand: what each of them alone decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from app.specs.claims import Claim
from app.unlearning.judging import gate
from app.unlearning.judging.measuring.intervals import Estimate
from app.unlearning.judging.verifying.claims import AbsenceProof, Sought
from app.unlearning.judging.verifying.control import Control
from app.unlearning.judging.verifying.deep_verification import VerificationReport
from app.unlearning.judging.verifying.outcome import Outcome, conclude
from app.unlearning.judging.verifying.verdicts import Criterion, Place, measured
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs

CONTROL = Control(None, {}, (), {})
TELLING = Control(None, {}, (), {}, 1, 1)
APPROXIMATE = Sought("approximate", "none", 0.05)
EDITED = Sought("approximate", "push", 0.05)
ABSENT = replace(APPROXIMATE, absent=True)


def held(name: str, level: Claim, *, passed: bool | None = True) -> Criterion:
    return Criterion(1, name, "", level, passed, controlled=level == "approximate")


def compared(name: str, *, passed: bool, power: bool = True, low: float = -1.0) -> Criterion:
    """A criterion of one figure, judged with power or without."""
    place = Place("forget")
    figure = measured("nearer-than-untouched", place, Estimate(low + 0.1, low, low + 0.2, 9), at_most=1.0)
    figure = replace(figure, passed=passed, power=power)
    return Criterion(1, name, "", "approximate", passed, (figure,), power=power)


def report(
    *criteria: Criterion, classes: tuple[int, ...] = (), references: tuple[int, ...] = (1, 2, 3)
) -> VerificationReport:
    control = TELLING if any(criterion.measurements and criterion.power for criterion in criteria) else CONTROL
    return VerificationReport("fast", 0, "digest", classes, {}, references, "approximate", criteria, (), control, ())


def judged(*names: str) -> list[gate.Criterion]:
    return [
        gate.Criterion(name, "", 1.0, 1.0, passed=True) for name in ("weights_changed", "retained_accuracy", *names)
    ]


def ended(
    found: VerificationReport, *names: str, min_claim: Claim | None = None, sought: Sought = APPROXIMATE
) -> tuple[str, Claim | None]:
    outcome: Outcome = conclude(judged(*names), sought, found, min_claim=min_claim)
    return outcome.verdict, None if outcome.claim is None else outcome.claim.level


def test_being_farther_from_retrained_models_than_before_fails_samples_unless_they_are_absent() -> None:
    farther = compared("nearer", passed=False, power=False, low=0.01)
    assert ended(report(farther)) == ("failed", None)
    assert ended(report(farther), sought=ABSENT) == ("inconclusive", "edited")
    assert ended(report(compared("nearer", passed=True, power=False)), sought=ABSENT) == ("passed", "edited")
    assert ended(report(farther, classes=(2,))) == ("inconclusive", "edited")


def test_samples_pass_where_a_figure_with_power_holds_and_are_approximate_where_all_do() -> None:
    control = Criterion(1, "control", "", "approximate", passed=True, controlled=False)
    shown = compared("membership", passed=True)
    powerless = compared("forget-accuracy", passed=False, power=False)
    assert ended(report(shown, powerless, control)) == ("passed", "approximate")
    assert ended(report(shown, compared("forget-accuracy", passed=False), control)) == ("passed", "edited")


def test_samples_fail_where_every_figure_with_power_speaks_against_them() -> None:
    against = compared("membership", passed=False)
    assert ended(report(against, compared("forget-accuracy", passed=True, power=False))) == ("failed", None)
    assert ended(report(against), sought=EDITED) == ("failed", None)  # pushing a class again is no excuse
    assert ended(report(against), sought=replace(EDITED, absent=True)) == ("passed", "edited")
    assert ended(report(against, classes=(2,))) == ("passed", "edited")


def test_being_nearer_shows_nothing_since_any_nudge_is() -> None:
    nearer = compared("nearer", passed=True)
    assert ended(report(nearer)) == ("inconclusive", "edited")
    assert ended(report(nearer, compared("membership", passed=False))) == ("failed", None)


def test_what_is_inconclusive_claims_no_more_than_edited_and_misses_a_least_claim_above() -> None:
    found = report(compared("membership", passed=True), classes=(2,))
    told = conclude(judged(), APPROXIMATE, found, original_learned=False)
    assert told.claim is not None
    assert (told.verdict, told.claim.level) == ("inconclusive", "edited")
    least = conclude(judged(), APPROXIMATE, found, original_learned=False, min_claim="approximate")
    assert (least.verdict, least.missed) == ("failed", ("min_claim",))


def test_where_nothing_has_power_nothing_is_passed() -> None:
    untold = Criterion(1, "control", "", "approximate", passed=None, controlled=False)
    assert ended(report(compared("membership", passed=True, power=False), untold)) == ("inconclusive", "edited")
    assert ended(report(compared("probe", passed=True, power=False), untold, classes=(2,))) == (
        "inconclusive",
        "edited",
    )


@pytest.mark.parametrize("level", ["suppressed", "edited"])
def test_an_upper_claim_needs_what_the_verification_found_of_the_lower_ones(level: Claim) -> None:
    near = compared("forget-accuracy", passed=True)
    assert ended(report(near, held("retained", level))) == ("passed", "approximate")
    assert ended(report(near, held("retained", level, passed=False))) == ("passed", "edited")
    assert ended(report(near, held("retained", level, passed=None))) == ("passed", "edited")


def test_test_rows_alone_make_no_request_fail() -> None:
    found = report(held("refused", "suppressed", passed=False), classes=(2,))
    assert ended(found) == ("inconclusive", "edited")
    assert ended(found, sought=EDITED) == ("passed", "edited")


def test_a_version_claims_no_more_than_its_parent_and_the_verdict_is_about_what_was_forgotten_now() -> None:
    found = report(compared("forget-accuracy", passed=True))
    capped = replace(APPROXIMATE, parent_claim="edited")
    assert ended(found, sought=capped) == ("passed", "edited")
    assert ended(found, sought=capped, min_claim="approximate") == ("failed", None)


def test_the_least_claim_itself_is_enough_and_one_below_is_not() -> None:
    found = report(compared("forget-accuracy", passed=True))
    assert ended(found, min_claim="approximate") == ("passed", "approximate")
    beside = report(compared("forget-accuracy", passed=True), compared("membership", passed=False))
    assert ended(beside, min_claim="approximate") == ("failed", None)


def test_without_references_a_comparison_is_inconclusive() -> None:
    assert ended(report(held("reference", "approximate", passed=None), references=())) == ("inconclusive", "edited")


def test_a_proof_is_about_these_weights_repeated_alike_and_about_retained_rows_alone() -> None:
    partition = Partition.of(blobs(rows=80, size=2), [1])
    retain, forget = partition.train.retain, partition.train.forget
    assert AbsenceProof("made", retain).holds("made", partition)
    assert AbsenceProof("made", retain, "made").holds("made", partition)
    assert not AbsenceProof("made", retain).holds("other", partition)
    assert not AbsenceProof("made", retain, "other").holds("made", partition)
    assert not AbsenceProof("made", torch.cat([retain, forget[:1]])).holds("made", partition)
    assert not AbsenceProof("made", retain[:0]).holds("made", partition)


def test_without_a_proof_nobody_seeks_exactness() -> None:
    assert Sought("exact", "none", 0.05).claim == "approximate"
    assert Sought("exact", "push", 0.05, AbsenceProof("made", torch.arange(3))).claim == "edited"
    assert Sought("exact", "guard", 0.05, AbsenceProof("made", torch.arange(3))).claim == "exact"
