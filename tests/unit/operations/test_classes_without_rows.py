"""A class all of whose training rows were forgotten as samples: retained nowhere, and forgotten by name all the same."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from app.contract.forgetting import ForgetCreate, ForgetRequest
from app.contract.training import TrainRequest
from app.database.engine import Database
from app.errors import ClassForgotten, NotApplicable
from app.operations.forgetting import forget
from app.operations.pages import PageQuery
from app.operations.training import train
from app.settings import Settings
from tests.unit.operations.conftest import CALLER, House, copied, furnished
from tests.unit.operations.test_sample_targets import classes_of_rows, labelled
from tests.unit.operations.test_tasks import version

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
CLASS = 2
QUICK_GUARD = {"steps": 120, "hidden": 16, "refusal_budget": 0.03}
ROOM: dict[str, Any] = {"parameters": {"utility_budget": 0.05}}


def done(house: House, request: ForgetRequest) -> ForgetRequest:
    house.work()
    return house.request(request.id)


@pytest.fixture(scope="module")
def _emptied(_trained: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Every row of the class was forgotten as a sample, by retraining without them."""
    house = furnished(_trained, tmp_path_factory.mktemp("emptied"))
    labelled(house)
    rows = (classes_of_rows(house) == CLASS).nonzero()[0].tolist()
    request = done(house, house.forget(samples=rows, method="retrain", **ROOM))
    assert (request.status, request.verdict, request.claim) == ("completed", "passed", "exact"), request.report
    return house


@pytest.fixture
def emptied(_emptied: House, database: Database, settings: Settings) -> House:
    """A house of its own with those versions, in which a job has read the labels."""
    house = copied(_emptied, database, settings)
    shutil.copytree(_emptied.settings.home / "labels", house.settings.home / "labels")
    return house


def test_a_result_that_is_exact_is_not_failed_by_the_class_that_is_gone(emptied: House) -> None:
    """Its test images are no retained ones, to the gate, the verification and the metrics of the version alike."""
    with emptied.database.reading() as session:
        (request,) = [each for each in forget.list_forget_requests(session, PageQuery()).items if each.num_samples]
    assert request.report is not None
    verification = request.report.verification
    assert verification is not None
    assert (verification.verdict, verification.claim) == ("passed", "exact")
    assert request.missed_for_sought == []
    metrics = version(emptied, 3).metrics
    assert metrics.test_accuracy > 0.85
    assert metrics.test_accuracy == request.report.after.test_accuracy


@pytest.mark.parametrize(
    "refusing",
    [
        pytest.param({"refusal": "calibrate"}, id="calibrate"),
        pytest.param({"refusal": "push"}, id="push", marks=pytest.mark.slow),
        pytest.param({"refusal": "guard", "guard": QUICK_GUARD, **ROOM}, id="guard", marks=pytest.mark.slow),
    ],
)
def test_it_is_forgotten_by_name_and_the_dry_run_says_so(emptied: House, refusing: dict[str, Any]) -> None:
    body: dict[str, Any] = {"target": {"classes": [CLASS]}, **refusing}
    with emptied.database.reading() as session:
        plan = forget.plan(session, "digits", ForgetCreate.model_validate(body), home=emptied.settings.home)
    assert plan.method == "edit"
    request = done(emptied, emptied.forget(CLASS, **refusing))
    assert (request.status, request.claim) == ("completed", plan.claim), request.report
    assert version(emptied, 4).forgotten.classes == [CLASS]
    emptied.train()
    emptied.work()
    assert version(emptied, 5).forgotten.classes == [CLASS]


def test_a_method_that_would_learn_from_its_rows_is_refused_at_once(emptied: House) -> None:
    with pytest.raises(NotApplicable) as refused:
        emptied.forget(CLASS, method="scrub", refusal="calibrate")
    assert [fault.pointer for fault in refused.value.errors] == ["/method"]
    assert emptied.forget(CLASS, method="retrain", refusal="calibrate").status == "queued"


def test_it_is_not_learned_again(emptied: House) -> None:
    body, home = TrainRequest(classes=[CLASS]), emptied.settings.home
    with pytest.raises(ClassForgotten, match="classes 2"):
        train.refuse_relearning(emptied.database, CALLER, "digits", body, home=home)
