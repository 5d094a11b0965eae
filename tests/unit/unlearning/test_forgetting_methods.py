"""The verb `forget` by every method beside `edit`, what is verified of its result, and what may be claimed then."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch

from app.errors import GateMissed, NotApplicable
from app.specs.claims import CLAIMS, Claim
from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.edit import EditParameters
from app.specs.methods.retrain import RetrainParameters
from app.specs.refusing import Refusal, Refusing
from app.specs.request import ForgetSpec
from app.unlearning.case import Case, Parent
from app.unlearning.context import Cancelled, Context
from app.unlearning.forgetting import Unlearned, forget
from app.unlearning.judging.effect import Effect, Shift
from app.unlearning.judging.gate import judge_method
from app.unlearning.judging.verifying.claims import Evidence, SupportedClaim, strongest_claim
from app.unlearning.judging.verifying.deep_verification import VerificationReport, verify
from app.unlearning.judging.verifying.observations import draw_sets
from app.unlearning.judging.verifying.outcome import Outcome, conclude, supported_claim
from app.unlearning.judging.verifying.peers import Peers
from app.unlearning.judging.verifying.verdicts import Criterion
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.training import fit
from app.unlearning.methods import METHODS
from app.unlearning.methods.method import Computed, Method
from app.unlearning.partition import Partition, Rows
from app.unlearning.sample_partition import of_samples
from tests.unit.unlearning.blobs import blobs, edit_of, fitted, same_bits, target_of
from tests.unit.unlearning.methods.settings import NAMES, TRAINING, defaults, retrained

DATA = blobs(rows=1200)
MODEL = fitted(DATA)
CONTEXT = Context()
STANDARD: list[MethodName] = NAMES
CLASS_METHODS = [name for name in STANDARD if "classes" in METHOD_SPECS[name].targets]
SAMPLES = DATA.train_rows[:60].tolist()
ONE_CLASS = Partition.of(DATA, [1])
SOME_SAMPLES = of_samples(DATA, SAMPLES)


def asked(name: MethodName, partition: Partition, refusal: Refusal = "none") -> ForgetSpec:
    """The method with its defaults, and a budget that small sets can keep."""
    parameters = replace(defaults(name), utility_budget=0.05, refusal_budget=0.02)
    return ForgetSpec(target_of(partition), name, parameters, refusal, seed=3)


def done(
    name: MethodName, partition: Partition, refusal: Refusal = "none", *, original: Classifier = MODEL
) -> Unlearned:
    return forget(Parent(original), DATA, asked(name, partition, refusal), CONTEXT)


def verified(
    unlearned: Unlearned, partition: Partition, *references: Classifier, original: Classifier = MODEL
) -> VerificationReport:
    sets, peers = draw_sets(DATA, partition, "fast", 0), Peers(original, dict(enumerate(references, 11)))
    return verify(unlearned.model, unlearned.sought, sets, peers, CONTEXT)


def concluded(
    unlearned: Unlearned, partition: Partition, *references: Classifier, min_claim: Claim | None = None
) -> Outcome:
    report = verified(unlearned, partition, *references)
    return conclude(unlearned.report.gate, unlearned.sought, report, min_claim=min_claim)


def level(outcome: Outcome) -> Claim | None:
    return outcome.claim.level if outcome.claim else None


@pytest.mark.parametrize("name", CLASS_METHODS)
def test_every_method_forgets_a_class_and_passes_the_gate(name: MethodName) -> None:
    result = done(name, ONE_CLASS, "calibrate")
    assert [criterion.name for criterion in result.report.gate if not criterion.passed] == []
    assert result.model.forgotten_classes == (1,)
    assert result.report.after.forget_accuracy == 0
    assert result.report.settings["method"] == name
    assert result.sought.claim in {METHOD_SPECS[name].claim, "approximate"}
    assert result.report.seconds["method"] == pytest.approx(
        result.report.seconds["unlearning"] + result.report.seconds["refusal"]
    )


def test_the_original_is_not_touched_and_the_same_seed_gives_the_same_bits() -> None:
    before = deepcopy(MODEL)
    first, second = (done("euk", ONE_CLASS, "calibrate") for _ in range(2))
    assert same_bits(MODEL, before)
    assert same_bits(first.model, second.model)


def test_a_method_without_a_reference_is_inconclusive_and_claims_no_more_than_edited() -> None:
    outcome = concluded(done("euk", ONE_CLASS, "calibrate"), ONE_CLASS)
    assert (outcome.verdict, level(outcome)) == ("inconclusive", "edited")


def test_a_result_that_is_as_retrained_models_passes_and_claims_to_be() -> None:
    """Of a method that can seek no more: it is one more retrained model."""
    result = done("retrain", ONE_CLASS, "calibrate")
    approximate = replace(result, sought=replace(result.sought, method_claim="approximate", proof=None))
    references = [retrained(MODEL, DATA, ONE_CLASS, seed) for seed in (5, 6, 7)]
    outcome = concluded(approximate, ONE_CLASS, *references)
    assert (outcome.verdict, level(outcome)) == ("passed", "approximate")
    capped = replace(approximate, sought=replace(approximate.sought, parent_claim="edited"))
    assert level(concluded(capped, ONE_CLASS, *references)) == "edited"
    fewer = concluded(approximate, ONE_CLASS, references[0])
    assert (fewer.verdict, level(fewer)) == ("inconclusive", "edited")


def test_a_result_that_is_not_as_a_reference_falls_back_to_edited_and_says_by_what() -> None:
    result = done("euk", ONE_CLASS, "calibrate")
    with torch.no_grad():
        result.model.head.bias[0] -= 100  # after the gate: test images show what calibration rows did not
    references = [retrained(MODEL, DATA, ONE_CLASS, seed) for seed in (5, 6, 7)]
    report = verified(result, ONE_CLASS, *references)
    outcome = conclude(result.report.gate, result.sought, report)
    assert (outcome.verdict, level(outcome)) == ("passed", "edited")
    assert {"retained", "accuracy"} <= {criterion.name for criterion in report.criteria if criterion.passed is False}


def test_retraining_is_exact_without_any_reference() -> None:
    result = done("retrain", ONE_CLASS, "calibrate")
    assert result.proof is not None
    outcome = concluded(result, ONE_CLASS)
    assert (outcome.verdict, level(outcome)) == ("passed", "exact")


def test_retraining_with_push_is_no_more_than_edited() -> None:
    result = done("retrain", ONE_CLASS, "push")
    assert result.proof is None
    assert level(concluded(result, ONE_CLASS)) == "edited"


def test_a_proof_about_other_rows_makes_nothing_exact() -> None:
    result = done("retrain", ONE_CLASS, "calibrate")
    assert result.proof is not None
    lying = replace(result.sought, proof=replace(result.proof, trained_on=DATA.train_rows))
    unproven = replace(result, sought=lying)
    assert level(concluded(unproven, ONE_CLASS)) == "edited"


def test_a_claim_below_the_least_that_was_asked_for_fails() -> None:
    outcome = concluded(done("euk", ONE_CLASS, "calibrate"), ONE_CLASS, min_claim="approximate")
    assert (outcome.verdict, outcome.claim, outcome.missed) == ("failed", None, ("min_claim",))
    assert concluded(done("retrain", ONE_CLASS), ONE_CLASS, min_claim="exact").verdict == "passed"


@pytest.mark.parametrize("name", ["euk", "retrain", "neggrad_plus"])
def test_samples_are_forgotten_and_nothing_is_struck(name: MethodName) -> None:
    result = done(name, SOME_SAMPLES)
    assert result.model.forgotten_classes == ()
    assert result.verdict == "passed"
    assert result.report.after.refusal_rate is None


@pytest.mark.parametrize("name", ["neggrad_plus", "finetune"])
def test_samples_need_references_to_be_judged_whether_a_method_has_read_them_or_not(name: MethodName) -> None:
    """Weights that were fitted to them once may hold them, whatever was read since."""
    result = done(name, SOME_SAMPLES)
    alike = [deepcopy(result.model) for _ in range(3)]  # references that the result is as near as can be
    for references in ([], alike[:1]):
        outcome = concluded(result, SOME_SAMPLES, *references)
        assert (outcome.verdict, level(outcome)) == ("inconclusive", "edited")
    assert concluded(result, SOME_SAMPLES, *alike).verdict == "passed"


def test_samples_that_end_farther_from_a_reference_than_before_fail() -> None:
    result = done("neggrad_plus", SOME_SAMPLES)
    with torch.no_grad():
        result.model.head.weight.mul_(0.01)  # every answer nearly even, the highest the same
    outcome = concluded(result, SOME_SAMPLES, retrained(MODEL, DATA, SOME_SAMPLES, 5))
    assert (outcome.verdict, outcome.missed) == ("failed", ("nearer",))


def test_samples_retrained_without_are_exact() -> None:
    outcome = concluded(done("retrain", SOME_SAMPLES), SOME_SAMPLES)
    assert (outcome.verdict, level(outcome)) == ("passed", "exact")


def test_edit_is_not_for_samples() -> None:
    with pytest.raises(NotApplicable, match="samples"):
        forget(Parent(MODEL), DATA, replace(edit_of(refusal="none"), target=target_of(SOME_SAMPLES)), CONTEXT)


@pytest.mark.slow
def test_samples_after_a_pushed_class_keep_it_refused_and_claim_what_push_allows() -> None:
    first = forget(Parent(MODEL), DATA, edit_of(1), CONTEXT).model
    rows = SOME_SAMPLES.train.forget[DATA.train_labels[SOME_SAMPLES.train.forget] != 1]
    partition = of_samples(DATA, rows.tolist(), earlier_classes=[1])
    parent = Parent(first, pushed=(1,), keeping=edit_of(1).refusing)
    result = forget(parent, DATA, asked("euk", partition), CONTEXT)
    assert [criterion.name for criterion in result.report.gate if not criterion.passed] == []
    assert "refusal_kept_of_class_1" in {criterion.name for criterion in result.report.gate}
    assert result.model.forgotten_classes == (1,)
    assert result.sought.claim == "edited"
    assert result.report.rehearsed_classes == [1]


def test_a_class_is_forgotten_after_samples() -> None:
    partition = Partition.of(DATA, [1])
    without = replace(partition, train=Rows(partition.train.forget, partition.train.retain[20:]))
    result = done("euk", without, "calibrate")
    assert result.verdict == "passed"


# --- planted faults ------------------------------------------------------------------------------


def _nothing(case: Case, *_: Any, **__: Any) -> Computed:
    original = case.original
    return Computed(original, {})


def _rows_filtered_out(case: Case, *_: Any, **__: Any) -> Computed:
    """Ascend on the forget set, which was filtered out before: there is nothing to ascend on."""
    original, data, partition = case.original, case.data, case.partition
    forget_rows = data.train_rows[~torch.isin(data.train_rows, partition.train.forget)]
    forget_rows = forget_rows[torch.isin(forget_rows, partition.train.forget)]
    for row in forget_rows.tolist():
        with torch.no_grad():
            original.head.weight[data.train_labels[row]] -= 0.1
    return Computed(original, {})


@pytest.mark.parametrize("refusal", ["none", "calibrate"])
@pytest.mark.parametrize("fault", [_nothing, _rows_filtered_out])
@pytest.mark.parametrize("partition", [ONE_CLASS, SOME_SAMPLES], ids=["class", "samples"])
def test_a_method_that_changes_nothing_fails(
    fault: Any, partition: Partition, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "euk", Method(METHOD_SPECS["euk"], fault))
    result = done("euk", partition, refusal if partition.forget_classes else "none")
    outcome = concluded(result, partition, retrained(MODEL, DATA, partition, 5))
    assert (outcome.verdict, outcome.claim) == ("failed", None)
    assert "method_changed_weights" in outcome.missed


def _noise(case: Case, *_: Any, **__: Any) -> Computed:
    """Every bit differs, and no answer shows it."""
    original = case.original
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.add_(1e-7 * torch.randn(parameter.shape, generator=generator))
    return Computed(original, {})


def _learning_it(case: Case, parameters: Any, context: Context, *, seed: int) -> Computed:
    """Train on the forget set alone: a large effect, in the wrong direction."""
    original, rows = case.original, case.partition.train.forget
    fit(original, case.data, rows, replace(TRAINING, epochs=8, learning_rate=0.001, batch_size=16), context)
    return Computed(original, {})


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("fault", [_noise, _nothing])
@pytest.mark.parametrize("partition", [ONE_CLASS, SOME_SAMPLES], ids=["class", "samples"])
def test_the_parent_and_the_parent_with_noise_fail_for_every_method(
    fault: Any, name: MethodName, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not partition.forget_classes and "samples" not in METHOD_SPECS[name].targets:
        return
    monkeypatch.setitem(METHODS, name, Method(METHOD_SPECS[name], fault))
    result = done(name, partition, "calibrate" if partition.forget_classes else "none")
    outcome = concluded(result, partition)
    assert (outcome.verdict, outcome.claim) == ("failed", None)
    assert "effect" in outcome.missed
    assert ("method_changed_weights" in outcome.missed) is (fault is _nothing)


MEMORISED = blobs(rows=800, noise=110.0)
HEART = fitted(MEMORISED, epochs=30)
BY_HEART = of_samples(MEMORISED, MEMORISED.train_rows[:100].tolist())
"""A network that knows its rows by heart, so that there is something to tell that some are forgotten by."""


def _scaled(factor: float) -> Any:
    def scale(case: Case, *_: Any, **__: Any) -> Computed:
        original = case.original
        with torch.no_grad():
            original.head.weight.mul_(factor)
            original.head.bias.mul_(factor)
        return Computed(original, {})

    return scale


def ended_beside_retrained(asked_for: ForgetSpec, count: int, keeping: Refusing | None = None) -> Outcome:
    training = replace(TRAINING, epochs=30)
    parameters = RetrainParameters(training=training)
    references = {
        seed: METHODS["retrain"].run(Case(Parent(HEART), MEMORISED, BY_HEART), parameters, CONTEXT, seed=seed).model
        for seed in range(11, 11 + count)
    }
    result = forget(Parent(HEART, keeping=keeping), MEMORISED, asked_for, CONTEXT)
    sets = draw_sets(MEMORISED, BY_HEART, "fast", 0)
    report = verify(result.model, result.sought, sets, Peers(HEART, references), CONTEXT)
    return conclude(result.report.gate, result.sought, report)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("factor", [0.997, 0.99])
def test_a_nudge_towards_every_model_is_not_taken_for_forgetting(
    count: int, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every answer a little less certain: an effect above the floor, nearer retrained models, and nothing forgotten."""
    monkeypatch.setitem(METHODS, "finetune", Method(METHOD_SPECS["finetune"], _scaled(factor)))
    outcome = ended_beside_retrained(asked("finetune", BY_HEART), count)
    assert (outcome.verdict, level(outcome)) in {("failed", None), ("inconclusive", "edited")}
    if count == 3:
        assert "shown" in outcome.missed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["salun", "bad_teacher", "finetune"])
@pytest.mark.parametrize("learning_rate", [1e-6, 1e-5])
def test_a_few_steps_too_small_to_forget_anything_are_not_passed(name: MethodName, learning_rate: float) -> None:
    few: dict[str, Any] = {"learning_rate": learning_rate, "steps": 5, "utility_budget": 0.05}
    parameters: Any = METHOD_SPECS[name].parameters(**few)
    outcome = ended_beside_retrained(ForgetSpec(target_of(BY_HEART), name, parameters, "none", seed=3), 3)
    assert (outcome.verdict, outcome.claim) == ("failed", None)


def test_samples_after_a_pushed_class_must_be_absent_or_shown_like_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    first = forget(Parent(MODEL), DATA, edit_of(1), CONTEXT).model
    rows = SOME_SAMPLES.train.forget[DATA.train_labels[SOME_SAMPLES.train.forget] != 1]
    partition = of_samples(DATA, rows.tolist(), earlier_classes=[1])
    parent = Parent(first, pushed=(1,), keeping=edit_of(1).refusing)
    monkeypatch.setitem(METHODS, "finetune", Method(METHOD_SPECS["finetune"], _scaled(0.9)))
    expectations: dict[MethodName, str] = {"finetune": "inconclusive", "retrain": "passed"}
    for name, expected in expectations.items():
        result = forget(parent, DATA, asked(name, partition), CONTEXT)
        report = verified(result, partition, original=first)
        outcome = conclude(result.report.gate, result.sought, report)
        assert (outcome.verdict, level(outcome)) == (expected, "edited"), name


def test_training_on_the_class_that_is_to_be_forgotten_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "finetune", Method(METHOD_SPECS["finetune"], _learning_it))
    outcome = concluded(done("finetune", ONE_CLASS, "calibrate"), ONE_CLASS)
    assert (outcome.verdict, outcome.claim) == ("failed", None)
    assert "class_direction" in outcome.missed


def test_training_on_the_samples_that_are_to_be_forgotten_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "finetune", Method(METHOD_SPECS["finetune"], _learning_it))
    data = blobs(rows=600, noise=120.0)  # nothing is certain, so that there is something to learn
    partition = of_samples(data, data.train_rows[:40].tolist())
    result = forget(Parent(fitted(data, epochs=2)), data, asked("finetune", partition), CONTEXT)
    assert "direction" in [criterion.name for criterion in result.report.gate if not criterion.passed]


def test_what_was_never_fitted_is_judged_by_all_answers_and_what_was_by_its_own() -> None:
    """One retrained without a sample may answer that one as before by chance."""
    case = Case(Parent(MODEL), DATA, SOME_SAMPLES)
    effect = Effect(0.001, 1.0, Shift(0.0, 1.0), Shift(0.0, 1.0), 1.0)
    judged = {
        absent: {each.name: each.passed for each in judge_method(case, MODEL, effect, absent=absent)}
        for absent in (True, False)
    }
    assert (judged[True]["effect"], judged[False]["effect"]) == (True, False)


def test_what_a_method_leaves_answered_is_told_before_the_row_is_struck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "finetune", Method(METHOD_SPECS["finetune"], _slightly))
    result = done("finetune", ONE_CLASS, "calibrate")
    assert result.report.after.forget_accuracy == 0.0
    assert result.report.forget_accuracy_before_refusal is not None
    assert result.report.forget_accuracy_before_refusal > 0.9
    assert result.report.left_by_method is True
    references = [retrained(MODEL, DATA, ONE_CLASS, seed) for seed in (5, 6, 7)]
    report = verified(result, ONE_CLASS, *references)
    assert next(found for found in report.criteria if found.name == "left_by_method").passed is False
    assert level(concluded(result, ONE_CLASS, *references)) == "edited"
    retraining = done("retrain", ONE_CLASS, "calibrate").report
    assert (retraining.forget_accuracy_before_refusal, retraining.left_by_method) == (0.0, False)


def _slightly(case: Case, *_: Any, **__: Any) -> Computed:
    """Less certain of everything, and so of the class, which it answers all the same."""
    original = case.original
    with torch.no_grad():
        original.head.weight.mul_(0.9)
        original.head.bias.mul_(0.9)
    return Computed(original, {})


def test_a_push_does_not_hide_that_the_method_did_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "euk", Method(METHOD_SPECS["euk"], _nothing))
    assert "method_changed_weights" in concluded(done("euk", ONE_CLASS, "push"), ONE_CLASS).missed


def test_a_budget_that_cannot_be_kept_fails() -> None:
    training = replace(TRAINING, epochs=1, learning_rate=1e-6)
    ruined = replace(
        asked("retrain", ONE_CLASS),
        parameters=RetrainParameters(training=training, utility_budget=0.0, refusal_budget=0.02),
    )
    result = forget(Parent(MODEL), DATA, ruined, CONTEXT)
    outcome = concluded(result, ONE_CLASS)
    assert (outcome.verdict, outcome.missed) == ("failed", ("retained_accuracy",))


# --- claims --------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS)
def test_no_claim_can_be_built_above_its_evidence(claim: Claim) -> None:
    result = forget(Parent(MODEL), DATA, edit_of(1), CONTEXT)
    report = verified(result, ONE_CLASS)
    with pytest.raises(GateMissed):
        Evidence(claim, tuple(criterion for criterion in report.criteria if criterion.needed_for == "approximate"))
    built = supported_claim(result.report.gate, replace(result.sought, method_claim=claim, refusal="none"), report)
    assert built is not None
    assert CLAIMS.index(built.level) <= CLAIMS.index("edited")
    assert SupportedClaim(built.evidence, claim).level in CLAIMS[: CLAIMS.index("edited") + 1]


def test_a_gate_that_was_missed_supports_nothing() -> None:
    result = forget(Parent(MODEL), DATA, edit_of(1), CONTEXT)
    missed = [replace(criterion, passed=False) for criterion in result.report.gate]
    assert supported_claim(missed, result.sought, verified(result, ONE_CLASS)) is None
    assert strongest_claim([], "exact") is None
    assert strongest_claim([Criterion(0, "", "", "exact", passed=True)], "exact") is None


def test_forgetting_ends_when_it_is_cancelled() -> None:
    def cancel() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        forget(Parent(MODEL), DATA, asked("euk", SOME_SAMPLES), Context(check=cancel))


def test_progress_goes_from_nothing_to_all_and_never_back() -> None:
    fractions: list[float] = []
    context = Context(progress=lambda fraction, _stage, _message: fractions.append(fraction))
    forget(Parent(MODEL), DATA, asked("euk", ONE_CLASS, "push"), context)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_the_parameters_of_edit_are_the_budgets_of_a_method() -> None:
    result = done("euk", ONE_CLASS, "calibrate")
    assert result.sought.utility_budget == 0.05 != EditParameters().utility_budget
    assert result.report.settings["parameters"]["refusal_budget"] == 0.02
