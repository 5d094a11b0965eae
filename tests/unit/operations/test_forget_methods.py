"""Requests of methods beside `edit`, of classes and of samples, from the request to the version that serves."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from app.contract.forgetting import ForgetCreate, ForgetPlan, ForgetReport, ForgetRequest
from app.contract.models import Forgotten
from app.contract.verifying import VerificationReport
from app.database.tables import ForgetRequestRow, TombstoneRow, VersionRow
from app.errors import ClaimOutOfReach, NotApplicable
from app.operations.administration import audit
from app.operations.forgetting import forget
from app.operations.forgetting.forgetting_run import Done
from app.operations.models import models, versions
from app.operations.pages import PageQuery
from app.specs.claims import Claim
from app.specs.methods import METHOD_SPECS
from app.store.manifest import CARD
from app.unlearning.judging.verifying.claims import Evidence, SupportedClaim
from app.unlearning.judging.verifying.control import Control
from app.unlearning.judging.verifying.deep_verification import VerificationReport as CoreReport
from app.unlearning.judging.verifying.outcome import Outcome
from app.unlearning.judging.verifying.verdicts import Criterion
from app.unlearning.methods import METHODS
from app.unlearning.methods.method import Computed, Method
from tests.unit.operations.conftest import House

SAMPLES = list(range(100, 220))
EUK: dict[str, Any] = {"method": "euk", "parameters": {"layers": 1, "steps": 150, "utility_budget": 0.05}}
BLIND: dict[str, Any] = {"reference": "none"}


def done(house: House, request: ForgetRequest) -> ForgetRequest:
    house.work()
    return house.request(request.id)


def report_of(request: ForgetRequest) -> ForgetReport:
    assert request.report is not None
    return request.report


def manifest_of(house: House, number: int) -> dict[str, Any]:
    with house.database.reading() as session:
        return session.scalars(select(VersionRow).where(VersionRow.number == number)).one().manifest


def planned(house: House, **body: Any) -> ForgetPlan:
    with house.database.reading() as session:
        return forget.plan(session, "digits", ForgetCreate.model_validate(body), home=house.settings.home)


def serving(house: House) -> int | None:
    with house.database.reading() as session:
        return models.get_model(session, "digits").serving_version


def forgotten(house: House) -> Forgotten:
    with house.database.reading() as session:
        return models.get_model(session, "digits").forgotten


def test_samples_are_forgotten_and_without_a_reference_the_verdict_is_inconclusive(house: House) -> None:
    request = done(house, house.forget(samples=SAMPLES, **EUK, **BLIND))
    assert (request.status, request.verdict, request.claim, request.version) == (
        "completed",
        "inconclusive",
        "edited",
        2,
    )
    assert request.verification is not None
    with house.database.reading() as session:
        kinds = session.execute(select(TombstoneRow.kind, func.count()).group_by(TombstoneRow.kind)).all()
    assert [tuple(row) for row in kinds] == [("sample", len(SAMPLES))]
    assert forgotten(house).num_samples == len(SAMPLES)
    assert serving(house) == 2


def test_what_was_verified_stands_in_the_report_in_the_manifest_and_in_the_model_card(house: House) -> None:
    request = done(house, house.forget(samples=SAMPLES, **EUK, **BLIND))
    verification = report_of(request).verification
    assert verification is not None
    assert (verification.depth, verification.references) == ("fast", [])
    assert VerificationReport.model_validate(manifest_of(house, 2)["verification"]) == verification
    card = (house.settings.home / "models" / "digits" / "2" / CARD).read_text()
    assert "## Verification" in card
    assert "There are 3 retrained models or more to compare with; there is none." in card


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_class_is_judged_beside_three_references_and_what_was_missed_is_named(house: House) -> None:
    finetune: dict[str, Any] = {
        "method": "finetune",
        "parameters": {"steps": 40, "learning_rate": 0.001, "utility_budget": 0.05},
    }
    request = house.forget(2, **finetune, refusal="calibrate")
    for _ in range(3):
        house.work()
    finished = done(house, request)
    assert (finished.status, finished.verdict, finished.claim) == ("completed", "passed", "edited")
    assert finished.sought == "approximate"
    report = report_of(finished)
    assert report.verification is not None
    assert report.verification.references == [1, 2, 3]
    assert report.left_by_method is True
    left = next(missed for missed in finished.missed_for_sought if missed.name == "left_by_method")
    assert left.figures[0].value == report.forget_accuracy_before_refusal
    assert {missed.name for missed in finished.missed_for_sought} == {
        criterion.name
        for criterion in report.verification.criteria
        if criterion.passed is False and criterion.power is not False
    }


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_samples_of_a_model_that_remembers_none_are_inconclusive_beside_any_references(house: House) -> None:
    finetune: dict[str, Any] = {
        "method": "finetune",
        "parameters": {"steps": 40, "learning_rate": 0.001, "utility_budget": 0.05},
    }
    request = house.forget(samples=SAMPLES[:2], **finetune)
    for _ in range(3):
        house.work()
    finished = done(house, request)
    assert (finished.status, finished.verdict, finished.claim) == ("completed", "inconclusive", "edited")
    assert "control" in {missed.name for missed in finished.missed_for_sought}
    verification = report_of(finished).verification
    assert verification is not None
    assert verification.control.num_with_power == 0


@pytest.mark.parametrize("method", ["auto", "retrain"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_two_samples_end_exact_by_auto_and_by_retraining(house: House, method: str) -> None:
    request = done(house, house.forget(samples=SAMPLES[:2], method=method, reference="none"))
    assert (request.status, request.method) == ("completed", "retrain")
    assert (request.verdict, request.claim, request.sought) == ("passed", "exact", "exact")


@pytest.mark.parametrize("learning_rate", [1e-7, 1e-12])
@pytest.mark.parametrize("method", ["finetune", "neggrad_plus", "scrub", "salun", "bad_teacher"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_step_that_the_answers_do_not_show_fails_and_publishes_nothing(
    house: House, method: str, learning_rate: float
) -> None:
    steps = {"rounds": 1, "forget_steps": 1, "retain_steps": 1} if method == "scrub" else {"steps": 1}
    parameters: dict[str, Any] = {**steps, "learning_rate": learning_rate}
    if method == "neggrad_plus":
        parameters["forget_weight"] = 0.2
    request = done(house, house.forget(samples=SAMPLES[:5], method=method, parameters=parameters, **BLIND))
    assert (request.status, request.verdict, request.claim, request.version) == ("failed", "failed", None, None)
    assert "effect" in {criterion.name for criterion in report_of(request).gate if not criterion.passed}
    assert serving(house) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_least_claim_that_the_version_before_rules_out_is_refused_before_any_work(house: House) -> None:
    queued = house.forget(2, scope="output", refusal="calibrate")
    later: dict[str, Any] = {"method": "finetune", "refusal": "calibrate", "min_claim": "approximate"}
    with pytest.raises(ClaimOutOfReach, match="edited"):
        house.forget(3, **later)
    done(house, queued)
    with pytest.raises(ClaimOutOfReach, match="edited"):
        house.forget(3, **later)
    plan = planned(house, target={"classes": [3]}, method="finetune", refusal="calibrate")
    assert (plan.sought, plan.claim) == ("approximate", "edited")
    exact = house.forget(3, method="retrain", refusal="calibrate", min_claim="exact", **BLIND)
    assert exact.status == "queued"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_single_reference_can_make_nothing_approximate_and_is_refused_where_that_is_demanded(house: House) -> None:
    with pytest.raises(NotApplicable) as refused:
        house.forget(2, method="euk", refusal="calibrate", num_references=1, min_claim="approximate")
    (fault,) = refused.value.errors
    assert fault.pointer == "/min_claim"
    assert "num_references 1" in fault.detail


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_request_version_manifest_card_and_audit_log_tell_one_claim(house: House) -> None:
    done(house, house.forget(2, scope="output", refusal="calibrate"))
    request = done(house, house.forget(3, method="retrain", refusal="calibrate", parameters={"utility_budget": 0.05}))
    samples = done(house, house.forget(samples=SAMPLES[:3], **EUK, **BLIND))
    for told in (request, samples):
        assert told.version is not None
        with house.database.reading() as session:
            version = versions.get_version(session, "digits", told.version)
            events = audit.list_events(session, PageQuery(), forget_request=told.id).items
        claims = {event.details["claim"] for event in events if "claim" in event.details}
        assert claims == {told.claim} == {version.claim} == {manifest_of(house, told.version)["claim"]}
        card = (house.settings.home / "models" / "digits" / str(told.version) / CARD).read_text()
        assert f"**{told.claim}**" in card


def test_retraining_is_exact(house: House) -> None:
    request = done(house, house.forget(2, method="retrain", refusal="calibrate", parameters={"utility_budget": 0.05}))
    assert (request.verdict, request.claim) == ("passed", "exact")
    assert report_of(request).settings["chosen"]["training"]["epochs"] == 1
    assert manifest_of(house, 2)["claim"] == "exact"


@pytest.mark.parametrize(
    ("found", "before", "told"),
    [
        ("approximate", "edited", "edited"),
        ("approximate", None, "approximate"),
        ("edited", "exact", "edited"),
        ("exact", "edited", "exact"),
    ],
)
def test_a_version_claims_no_more_than_holds_of_everything_it_has_forgotten(
    found: Claim, before: Claim | None, told: Claim
) -> None:
    levels: tuple[Claim, ...] = ("suppressed", "edited", "approximate", "exact")
    held = tuple(Criterion(1, level, "It held.", level, passed=True) for level in levels)
    assert SupportedClaim(Evidence(found, held), "exact", before).level == told


def test_a_claim_below_the_least_asked_for_publishes_nothing(house: House) -> None:
    request = done(house, house.forget(2, **EUK, reference="cached", refusal="none", min_claim="approximate"))
    assert (request.status, request.verdict, request.claim, request.version) == ("failed", "failed", None, None)
    assert request.verification is not None
    assert serving(house) == 1
    assert request.job.result == {"version": None, "verdict": "failed", "missed": ["min_claim"]}


def test_a_budget_that_cannot_be_met_fails_and_the_old_version_serves_on(house: House) -> None:
    hopeless = {"steps": 1, "learning_rate": 1e-6, "utility_budget": 0.0}
    request = done(house, house.forget(2, method="euk", refusal="calibrate", parameters=hopeless, **BLIND))
    assert (request.status, request.verdict) == ("failed", "failed")
    assert "retained_accuracy" in {criterion.name for criterion in report_of(request).gate if not criterion.passed}
    assert serving(house) == 1
    assert forgotten(house) == Forgotten(classes=[], tasks=[], num_samples=0)


@pytest.mark.parametrize("target", [{"samples": SAMPLES}, {}])
def test_a_method_that_changes_nothing_fails(
    house: House, target: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = Method(METHOD_SPECS["euk"], lambda case, *_, **__: Computed(case.original, {}))
    monkeypatch.setitem(METHODS, "euk", idle)
    classes = [] if target else [2]
    request = done(house, house.forget(*classes, **target, **EUK, **BLIND))
    assert (request.status, request.claim) == ("failed", None)
    assert "method_changed_weights" in request.job.result["missed"]  # type: ignore[index]  # a job that succeeded has one
    assert serving(house) == 1


def test_a_class_after_samples_and_samples_after_a_class_keep_what_is_forgotten(house: House) -> None:
    done(house, house.forget(samples=SAMPLES, **EUK, **BLIND))
    second = done(house, house.forget(2, scope="output", refusal="calibrate"))
    assert second.status == "completed"
    third = done(house, house.forget(samples=_known(house, without=2), **EUK, **BLIND))
    assert (third.status, third.verdict) == ("completed", "inconclusive")
    assert manifest_of(house, 4)["forgotten"]["classes"] == [2]
    assert report_of(third).after.refusal_by_class.keys() == {"2"}
    assert report_of(third).settings["refusal"] == "calibrate"
    assert forgotten(house).num_samples == len(SAMPLES) + 50


def _known(house: House, *, without: int) -> list[int]:
    """Rows of other classes that are not forgotten."""
    from app.datasets.loading import load  # noqa: PLC0415  its torch, where the data set is needed

    labels = load("mnist", house.settings, lambda *_: None).dataset.train_labels
    rows = (labels != without).nonzero().flatten()
    return [int(row) for row in rows if row >= 1000][:50]


def test_training_further_after_samples_inherits_the_claim_and_no_more_than_edited(house: House) -> None:
    done(house, house.forget(samples=SAMPLES, method="retrain", parameters={"utility_budget": 0.05}))
    assert manifest_of(house, 2)["claim"] == "exact"
    house.train()
    house.work()
    third = manifest_of(house, 3)
    assert (third["claim"], third["verification"]) == ("edited", None)
    assert third["forgotten"]["num_samples"] == len(SAMPLES)
    assert sum(third["recipe"]["rows_by_class"]) == 60_000 - 5_000 - _fitted(SAMPLES, house)


def _fitted(samples: list[int], house: House) -> int:
    """How many of them are training rows and not calibration rows."""
    from app.datasets.loading import load  # noqa: PLC0415  likewise

    rows = set(load("mnist", house.settings, lambda *_: None).dataset.train_rows.tolist())
    return len(rows & set(samples))


def test_the_verification_of_a_request_tells_the_claim_of_the_request_where_its_own_figures_tell_another() -> None:
    """Test images may be refused a little less than the gate demands of calibration rows, which decides."""
    refused = Criterion(1, "refused", "", "suppressed", passed=False)
    control = Control(None, {}, (), {})
    report = CoreReport("fast", 0, "digest", (2,), {}, (), "edited", (refused,), (), control, ())
    levels: tuple[Claim, ...] = ("suppressed", "edited")
    held = tuple(Criterion(1, level, "", level, passed=True) for level in levels)
    outcome = Outcome("passed", SupportedClaim(Evidence("edited", held), "edited"), ())
    unused: Any = None
    done_so_far = Done(ForgetRequestRow(), "", unused, report, outcome, {})
    assert report.claim is None
    assert done_so_far.verification_json["claim"] == "edited"
