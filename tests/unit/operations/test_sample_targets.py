from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app.contract.forgetting import ForgetCreate, ForgetPlan
from app.database.tables import JobRow
from app.datasets import labels
from app.datasets.split import split
from app.errors import AlreadyForgotten, DatasetCorrupted, ForgetteryError, InvalidInput, NotApplicable, SampleNotFound
from app.operations.forgetting import forget
from app.operations.pages import PageQuery
from tests.unit.operations.conftest import CALLER, House
from tests.unit.operations.test_tasks import details, model, version

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
EUK: dict[str, Any] = {
    "method": "euk",
    "reference": "none",
    "parameters": {"layers": 1, "steps": 20, "utility_budget": 1.0},
}
"""What the gate says of so short a run is tested beside it; here it shall pass."""


def classes_of_rows(house: House) -> Any:
    """Written by the first job that read the data set; int32 [60000]."""
    found = labels.kept(house.settings.home, version(house, 1).manifest["data_digest"], 60_000)
    assert found is not None
    return found


def labelled(house: House) -> House:
    """The house after a job of its own has read the data set."""
    house.train(classes=[0], training={"epochs": 1}, serve=False)
    house.work()
    return house


def dry(house: House, **body: Any) -> ForgetPlan:
    with house.database.reading() as session:
        return forget.plan(session, "digits", ForgetCreate.model_validate(body), home=house.settings.home)


def test_forgotten_samples_are_learned_no_more_and_counted_everywhere_but_named_nowhere_in_the_log(
    house: House,
) -> None:
    samples = list(range(500, 800))
    request = house.forget(samples=samples, **EUK)
    assert (request.target, request.num_samples, request.refusal) == ({"samples": samples}, 300, "none")
    house.work()
    done = house.request(request.id)
    assert (done.status, done.claim) == ("completed", "edited"), done.report
    assert done.target == {"samples": samples}
    assert version(house, 2).forgotten.num_samples == version(house, 2).manifest["forgotten"]["num_samples"] == 300
    for event in ("forget.requested", "forget.completed", "version.published"):
        assert details(house, event)["num_samples"] == 300
        assert "samples" not in details(house, event)
    house.train(from_scratch=True)
    house.work()
    assert model(house).forgotten.num_samples == version(house, 3).forgotten.num_samples == 300
    first, third = (sum(version(house, number).manifest["recipe"]["rows_by_class"]) for number in (1, 3))
    assert 250 < first - third <= 300  # the others were held out of every fit


@pytest.mark.parametrize(
    ("samples", "error", "places"),
    [
        ([7, 60_000, 8, 2**52], SampleNotFound, [1, 3]),
        ([7, 8, 7], InvalidInput, [0, 2]),
        ([*range(60_000, 60_050)], SampleNotFound, [*range(10)]),
        ([2, 1], AlreadyForgotten, [1]),
    ],
)
def test_faulty_ids_are_refused_at_once_and_the_first_ten_are_pointed_at(
    house: House, samples: list[int], error: type[ForgetteryError], places: list[int]
) -> None:
    house.forget(samples=[1], **EUK)
    with pytest.raises(error) as caught:
        house.forget(samples=samples, **EUK)
    assert [fault.pointer for fault in caught.value.errors] == [f"/target/samples/{place}" for place in places]
    with house.database.reading() as session:
        assert len(session.scalars(select(JobRow).where(JobRow.kind == "forget")).all()) == 1


def test_samples_that_were_never_learned_are_refused_unless_others_are_named_too(house: House) -> None:
    _, calibration_rows = split("mnist", 60_000)
    held_out = calibration_rows[:3].tolist()
    with pytest.raises(NotApplicable, match="name at least one row that it learned"):
        house.forget(samples=held_out, **EUK)
    assert house.forget(samples=[1, *held_out], **EUK).num_samples == 4


def test_samples_of_a_class_that_is_to_be_forgotten_went_with_it(house: House) -> None:
    classes = classes_of_rows(labelled(house))
    house.forget(3)
    of_class, other = int(np.flatnonzero(classes == 3)[0]), int(np.flatnonzero(classes == 4)[0])
    with pytest.raises(AlreadyForgotten) as caught:
        house.forget(samples=[other, of_class], **EUK)
    assert [fault.pointer for fault in caught.value.errors] == ["/target/samples/1"]
    assert house.forget(samples=[other], **EUK).num_samples == 1


def test_damaged_labels_are_refused_and_never_believed(house: House) -> None:
    classes_of_rows(labelled(house))
    path = next((house.settings.home / "labels").glob("*.npy"))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DatasetCorrupted, match="Delete it"):
        house.forget(samples=[1], **EUK)


def test_auto_chooses_a_method_for_samples_and_says_why(house: House) -> None:
    plan = dry(house, target={"samples": [1, 2]})
    assert plan.requested_method == "auto"
    assert plan.method in {each.method for each in plan.candidates if each.applicable}
    assert (plan.refusal, plan.num_samples) == ("none", 2)
    assert plan.why
    request = house.forget(samples=[1, 2])
    assert (request.method, request.requested_method) == (plan.method, "auto")


def test_everything_that_speaks_against_a_method_is_said_at_once(house: House) -> None:
    with pytest.raises(NotApplicable) as caught:
        house.forget(samples=[1], method="sisa", refusal="calibrate", min_claim="exact")
    assert {fault.pointer for fault in caught.value.errors} == {"/method", "/refusal"}
    with pytest.raises(NotApplicable) as caught:
        house.forget(2, method="sisa", refusal="push", min_claim="exact")
    assert {fault.pointer for fault in caught.value.errors} == {"/target", "/method", "/refusal", "/min_claim"}


def test_lists_name_a_hundred_samples_of_a_request_and_a_single_one_names_all(house: House) -> None:
    request = house.forget(samples=list(range(150)), **EUK)
    with house.database.reading() as session:
        listed = forget.list_forget_requests(session, PageQuery()).items[0]
    assert (len(listed.target["samples"]), listed.num_samples) == (100, 150)
    assert len(house.request(request.id).target["samples"]) == 150


def test_without_kept_labels_a_request_is_taken_and_the_job_checks(house: House) -> None:
    body = ForgetCreate.model_validate({"target": {"samples": [1]}, **EUK})
    with house.database.writing() as session:
        assert forget.submit(session, CALLER, "digits", body).status == "queued"
