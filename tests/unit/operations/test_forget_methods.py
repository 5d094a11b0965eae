"""Requests of methods beside `edit`, of classes and of samples, from the request to the version that serves."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from app.database.tables import ReferenceRow, TombstoneRow, VersionRow
from app.method_specs import METHOD_SPECS, Claim
from app.operations import forgetting_run, models
from app.schemas import ForgetReport, ForgetRequest, Forgotten
from app.store.manifest import CARD
from app.unlearning.methods import METHODS
from app.unlearning.methods.method import Computed, Method
from app.unlearning.verifying.claims import Evidence, SupportedClaim
from app.unlearning.verifying.verdicts import Criterion
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
    assert manifest_of(house, 2)["verification"] == verification.model_dump(mode="json")
    card = (house.settings.home / "models" / "digits" / "2" / CARD).read_text()
    assert "## Verification" in card
    assert "There is a retrained model to compare with." in card


def test_with_a_reference_the_verdict_is_passed(house: House) -> None:
    request = house.forget(samples=SAMPLES, **EUK, reference="wait")
    house.work()
    with house.database.reading() as session:
        assert len(session.scalars(select(ReferenceRow)).all()) == 1
    finished = done(house, request)
    assert (finished.status, finished.verdict) == ("completed", "passed")
    verification = report_of(finished).verification
    assert verification is not None
    assert len(verification.references) == 1
    assert finished.claim in {"edited", "approximate"}


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
    claim = SupportedClaim(Evidence(found, held), "exact")
    assert forgetting_run.of_all_forgotten(VersionRow(claim=before), claim).level == told


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
    idle = Method(METHOD_SPECS["euk"], lambda original, *_, **__: Computed(original, {}))
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
