"""Verdicts and claims from criteria made by hand: what each of them alone decides."""

from __future__ import annotations

import pytest
import torch

from app.method_specs import Claim
from app.unlearning import gate
from app.unlearning.partition import Partition
from app.unlearning.verifying.claims import AbsenceProof, Sought
from app.unlearning.verifying.control import Control
from app.unlearning.verifying.deep_verification import VerificationReport
from app.unlearning.verifying.outcome import Outcome, conclude
from app.unlearning.verifying.verdicts import Criterion
from tests.unit.unlearning.blobs import blobs

CONTROL = Control(None, {}, (), {})
APPROXIMATE = Sought("approximate", "none", 0.05)


def held(name: str, level: Claim, *, passed: bool | None = True) -> Criterion:
    return Criterion(1, name, "", level, passed)


def report(
    *criteria: Criterion, classes: tuple[int, ...] = (), references: tuple[int, ...] = (1,)
) -> VerificationReport:
    return VerificationReport("fast", 0, "digest", classes, {}, references, "approximate", criteria, (), CONTROL, ())


def judged(*names: str) -> list[gate.Criterion]:
    return [
        gate.Criterion(name, "", 1.0, 1.0, passed=True) for name in ("weights_changed", "retained_accuracy", *names)
    ]


def ended(found: VerificationReport, *names: str, min_claim: Claim | None = None) -> tuple[str, Claim | None]:
    outcome: Outcome = conclude(judged(*names), APPROXIMATE, found, min_claim=min_claim)
    return outcome.verdict, None if outcome.claim is None else outcome.claim.level


def test_being_farther_from_references_fails_samples_that_were_read_and_nothing_else() -> None:
    farther = held("nearer", "approximate", passed=False)
    assert ended(report(farther)) == ("failed", None)
    assert ended(report(farther), "retained_rows_alone") == ("passed", "edited")
    assert ended(report(farther, classes=(2,))) == ("passed", "edited")


@pytest.mark.parametrize("level", ["suppressed", "edited"])
def test_an_upper_claim_needs_what_the_verification_found_of_the_lower_ones(level: Claim) -> None:
    compared = held("accuracy", "approximate")
    assert ended(report(compared, held("retained", level))) == ("passed", "approximate")
    assert ended(report(compared, held("retained", level, passed=False))) == ("passed", "edited")
    assert ended(report(compared, held("retained", level, passed=None))) == ("passed", "edited")


def test_test_rows_alone_make_no_request_fail() -> None:
    assert ended(report(held("refused", "suppressed", passed=False), classes=(2,))) == ("passed", "edited")


def test_the_least_claim_itself_is_enough_and_one_below_is_not() -> None:
    found = report(held("accuracy", "approximate"))
    assert ended(found, min_claim="approximate") == ("passed", "approximate")
    assert ended(report(held("accuracy", "approximate", passed=False)), min_claim="approximate") == ("failed", None)


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
