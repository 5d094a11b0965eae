from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.contract.forgetting import ForgetCreate, Method
from app.database.tables import VersionRow
from app.errors import NotApplicable
from app.operations.forgetting import choosing, costs, forget, targets
from app.operations.lookups import find_model
from app.specs.architectures import Architecture, Cnn, Gru, Mlp
from app.specs.methods import METHOD_SPECS
from app.specs.methods.edit import EditParameters
from app.specs.methods.work import TrainedRows, Work
from app.specs.refusing import Refusal
from app.specs.reports import Memorisation
from app.specs.target import TargetKind
from tests.unit.operations.conftest import House

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ROWS = TrainedRows([6000] * 10, 1e-5, "cnn", "standard", 5.0)
NAMES = list(METHOD_SPECS)


def chosen(house: House, **body: Any) -> choosing.Chosen:
    asked = ForgetCreate.model_validate({"method": "auto", **body})
    with house.database.reading() as session:
        model = find_model(session, "digits")
        return choosing.choose(session, model, asked, targets.resolve(session, model, asked.target))


@sqlite
def test_auto_takes_the_first_that_applies_and_says_why(house: House) -> None:
    found = chosen(house, target={"samples": [1, 2, 3]})
    assert next(each for each in found.candidates if each.method == found.method).applicable
    assert found.why
    reasons = {each.method: each.reasons for each in found.candidates if not each.applicable}
    assert {"edit", "ssd", "projection", "sisa"} <= reasons.keys()
    assert all(reasons.values())


@sqlite
def test_of_samples_that_the_original_tells_from_unseen_ones_by_chance_alone_auto_takes_an_exact_method(
    house: House,
) -> None:
    """One epoch on MNIST memorises nothing, and of two rows no accuracy can tell anything."""
    found = chosen(house, target={"samples": [1, 2]})
    assert found.method == "retrain"
    assert "tells its training rows from unseen ones by" in found.why
    assert "no comparison could show" in found.why


@sqlite
def test_so_it_does_where_an_earlier_push_caps_what_may_be_claimed(house: House) -> None:
    house.forget(2)
    found = chosen(house, target={"samples": [1, 3]})
    assert found.method == "retrain"
    assert {each.claim for each in found.candidates if each.method == "retrain"} == {"edited"}


@sqlite
def test_where_no_exact_method_keeps_the_limits_auto_says_that_it_will_be_inconclusive(house: House) -> None:
    seconds = {each.method: each.expected_seconds for each in chosen(house, target={"samples": [1, 2]}).candidates}
    assert seconds["retrain"] is not None
    found = chosen(house, target={"samples": [1, 2]}, max_seconds=seconds["retrain"] * 0.99)
    assert found.method != "retrain"
    assert "inconclusive" in found.why


@sqlite
def test_of_samples_that_a_model_knows_by_heart_auto_asks_for_no_exact_method(house: House) -> None:
    with house.database.writing() as session:
        version = session.scalars(select(VersionRow)).one()
        by_heart = Memorisation(train_accuracy=1.0, unseen_accuracy=0.9, membership_auc=0.6, chance=0.1)
        version.metrics = version.metrics.model_copy(update={"memorisation": by_heart})
    found = chosen(house, target={"samples": list(range(500))})
    assert "no comparison could show" not in found.why
    assert "no comparison could show" in chosen(house, target={"samples": [1, 2]}).why


@sqlite
@pytest.mark.parametrize(("architecture", "first"), [(Mlp(), "retrain"), (Gru(), "retrain"), (Cnn(), "euk")])
def test_of_samples_a_retraining_is_preferred_to_one_that_only_stops_early(
    house: House, architecture: Architecture, first: str
) -> None:
    """Without convolutions `euk` begins every layer anew."""
    with house.database.writing() as session:
        find_model(session, "digits").architecture = architecture
    assert chosen(house, target={"samples": [1, 2]}).candidates[0].method == first
    assert chosen(house, target={"classes": [2]}).candidates[0].method == "euk"


@sqlite
def test_auto_keeps_to_the_claim_that_is_wanted(house: House) -> None:
    assert chosen(house, target={"classes": [2]}, min_claim="exact").method == "retrain"


@sqlite
def test_without_a_reference_nothing_may_claim_to_be_approximate(house: House) -> None:
    found = chosen(house, target={"classes": [2]}, reference="none", min_claim="approximate")
    assert found.method == "retrain"
    assert "approximate" not in {each.claim for each in found.candidates}
    with pytest.raises(NotApplicable) as refused:
        house.forget(2, method="euk", reference="none", min_claim="approximate")
    assert [fault.pointer for fault in refused.value.errors] == ["/min_claim"]


@sqlite
def test_auto_refuses_with_every_reason_where_nothing_is_fast_enough(house: House) -> None:
    with pytest.raises(NotApplicable) as refused:
        chosen(house, target={"classes": [2]}, max_seconds=1e-9)
    told = " ".join(fault.detail for fault in refused.value.errors)
    assert all(f"{name}:" in told for name in NAMES)
    assert "/max_seconds" in {fault.pointer for fault in refused.value.errors}


@sqlite
def test_a_method_asked_for_by_name_is_taken(house: House) -> None:
    assert chosen(house, target={"classes": [2]}, method="scrub").method == "scrub"


@sqlite
@pytest.mark.parametrize("method", ["auto", "scrub"])
def test_a_request_prices_methods_only_to_choose_one_and_a_dry_run_prices_all(
    house: House, monkeypatch: pytest.MonkeyPatch, method: Method
) -> None:
    priced: list[str] = []

    def count(_work: Work, name: str, *_told: Any) -> float:
        priced.append(name)
        return 0.0

    monkeypatch.setattr(costs, "seconds", count)
    body = ForgetCreate.model_validate({"target": {"classes": [2]}, "method": method})
    with house.database.reading() as session:
        plan = forget.plan(session, "digits", body)
    applicable = {each.method for each in plan.candidates if each.applicable}
    assert set(priced) == applicable > {"scrub"}
    priced.clear()
    house.forget(2, method=method)
    assert set(priced) == (applicable if method == "auto" else set())


def test_what_is_ranked_for_a_target_is_for_that_target_and_has_a_place_of_its_own() -> None:
    for kind in get_args(TargetKind):
        for convolutional in (True, False):
            ranked = [spec for spec in METHOD_SPECS.values() if spec.rank(kind, convolutional=convolutional) < 1e9]
            assert ranked
            assert all(kind in spec.targets for spec in ranked)
            assert len({spec.rank(kind, convolutional=convolutional) for spec in ranked}) == len(ranked)


@pytest.mark.parametrize("name", NAMES)
@given(speed=st.floats(1e-7, 1e-2), factor=st.floats(1.5, 100))
def test_a_slower_machine_takes_longer_by_as_much(name: str, speed: float, factor: float) -> None:
    def seconds(per_image: float) -> float:
        rows = TrainedRows(ROWS.by_class, per_image, "cnn", "standard", 5.0)
        return costs.seconds(Work(rows, 6000, 54000), name, METHOD_SPECS[name].parameters(), "none")

    assert seconds(speed * factor) == pytest.approx(factor * seconds(speed), abs=0.06 * (1 + factor))


def test_a_refusal_that_trains_costs_more_than_none() -> None:
    work = Work(ROWS, 6000, 54000)
    taken = {refusal: costs.seconds(work, "edit", EditParameters(), refusal) for refusal in get_args(Refusal)}
    assert taken["none"] == taken["calibrate"] < min(taken["push"], taken["guard"])


def test_ssd_costs_as_many_images_as_there_are() -> None:
    fewer, more = (
        costs.seconds(Work(ROWS, rows // 10, rows - rows // 10), "ssd", METHOD_SPECS["ssd"].parameters(), "none")
        for rows in (300_000, 600_000)
    )
    assert more - fewer == pytest.approx(2 * 300_000 * ROWS.seconds_per_image, rel=0.2)


def test_no_more_values_are_expected_to_be_tried_than_there_are() -> None:
    tuned = [spec.tuned for spec in METHOD_SPECS.values() if spec.tuned is not None]
    assert len(tuned) == 7
    for each in tuned:
        fewest = min(len(values) for values in (each.values, each.values_of_samples) if values)
        assert 1 <= each.expected_tries <= fewest
