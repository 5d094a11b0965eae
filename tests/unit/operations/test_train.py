from __future__ import annotations

import pytest
from sqlalchemy import select

from app.contract.forgetting import ForgetCreate
from app.contract.training import TrainRequest
from app.contract.versions import Version
from app.database.tables import JobRow, VersionRow
from app.errors import ClassForgotten, ClassNotFound, GateMissed, ModelExists, NotApplicable
from app.operations.administration import audit, jobs
from app.operations.forgetting import forget
from app.operations.models import models, versions
from app.operations.pages import PageQuery
from app.operations.training import publishing, train
from app.store.manifest import CARD, WEIGHTS
from app.store.versions import VersionStore
from app.store.weights import load
from tests.unit.operations.conftest import CALLER, House


def version(house: House, number: int) -> Version:
    with house.database.reading() as session:
        return versions.get_version(session, "digits", number)


def forgotten_house(house: House) -> House:
    house.forget(2, refusal="calibrate")
    house.work()
    return house


def test_the_first_version_serves_and_its_manifest_says_how_it_was_made(house: House) -> None:
    first = version(house, 1)
    assert (first.origin, first.parent, first.state, first.serving, first.claim) == (
        "trained",
        None,
        "available",
        True,
        None,
    )
    assert first.metrics.test_accuracy > 0.85
    manifest = first.manifest
    assert manifest["recipe"]["training"]["epochs"] == 1
    assert sum(manifest["recipe"]["rows_by_class"]) == 55_000
    assert manifest["files"]["model.safetensors"] == first.digest
    assert manifest["environment"]["threads"] >= 1


def test_further_training_starts_from_the_serving_version(house: House) -> None:
    house.train()
    house.work()
    second = version(house, 2)
    assert (second.parent, second.serving) == (1, True)
    assert second.metrics.test_accuracy > version(house, 1).metrics.test_accuracy


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_of_a_training_given_in_part_the_rest_is_the_models_own(house: House) -> None:
    house.train(training={"epochs": 2, "seed": None})
    house.train()
    own = {"epochs": 1, "batch_size": 64, "seed": 0}
    with house.database.reading() as session:
        queued = session.scalars(select(JobRow).where(JobRow.status == "queued").order_by(JobRow.sequence)).all()
        model = models.get_model(session, "digits")
    assert model.training == model.training | own
    assert queued[0].spec["training"] == model.training | {"epochs": 2}
    assert queued[1].spec["training"] == model.training


def test_training_without_serving_leaves_the_pointer(house: House) -> None:
    house.train(serve=False)
    house.work()
    assert version(house, 1).serving
    assert not version(house, 2).serving


def test_training_after_forgetting_never_sees_the_class_and_keeps_it_refused(house: House) -> None:
    forgotten_house(house).train()
    house.work()
    third = version(house, 3)
    assert third.forgotten.classes == [2]
    assert third.claim == "edited"
    assert third.manifest["recipe"]["rows_by_class"][2] == 0
    store = VersionStore(house.settings.home)
    network = load(store.folder("digits", 3), third.digest, store.read_manifest("digits", 3).digest)
    assert network.forgotten.nonzero().flatten().tolist() == [2]
    assert bool((network.head.weight[2] == 0).all())
    assert third.metrics.confusion_matrix[2][2] == 0


def test_training_from_scratch_after_forgetting_keeps_the_class_struck(house: House) -> None:
    forgotten_house(house).train(from_scratch=True)
    house.work()
    third = version(house, 3)
    assert (third.parent, third.forgotten.classes) == (None, [2])
    assert third.metrics.confusion_matrix[2][2] == 0


def test_a_forgotten_class_cannot_be_asked_for_by_name_and_the_attempt_is_logged(house: House) -> None:
    forgotten_house(house)
    with pytest.raises(ClassForgotten, match="2"):
        house.train(classes=[2, 3])
    with pytest.raises(ClassForgotten):
        train.refuse_relearning(house.database, CALLER, "digits", TrainRequest(tasks=[[2, 3]]))
    with house.database.reading() as session:
        last = audit.list_events(session, PageQuery()).items[-1]
    assert (last.event, last.details) == ("relearning.refused", {"classes": [2]})


def test_a_request_that_only_strikes_does_not_end_the_refusal_of_earlier_ones(house: House) -> None:
    house.forget(2, refusal="push", parameters={"push_steps": 200, "refusal_budget": 0.05, "utility_budget": 0.1})
    house.work()
    house.forget(5, refusal="none", scope="output")
    house.work()
    house.train()
    house.work()
    fourth = version(house, 4)
    assert fourth.manifest["recipe"]["kept_forgotten"]["settings"]["refusal"] == "push"
    refused = fourth.metrics.confusion_matrix[2][10] / sum(fourth.metrics.confusion_matrix[2])
    assert refused > 0.85


def test_training_from_scratch_needs_no_intact_parent_when_nothing_was_forgotten(house: House) -> None:
    (house.settings.home / "models" / "digits" / "1" / WEIGHTS).unlink()
    house.train(from_scratch=True)
    house.work()
    assert version(house, 2).serving


def test_what_is_not_forgotten_is_not_refused(house: House) -> None:
    train.refuse_relearning(house.database, CALLER, "digits", TrainRequest(classes=[3]))


def test_unknown_classes_and_tasks_are_refused(house: House) -> None:
    with pytest.raises(ClassNotFound):
        house.train(classes=[10])
    with pytest.raises(NotApplicable):
        house.train(tasks=[[8, 9]])


def test_training_on_named_classes_learns_from_their_rows_alone(house: House) -> None:
    house.train(classes=[3, 4])
    house.work()
    rows = version(house, 2).manifest["recipe"]["rows_by_class"]
    assert [index for index, count in enumerate(rows) if count] == [3, 4]


def test_training_that_would_bring_a_refused_class_back_publishes_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten_house(house)
    # The calibrated null unit refuses a few inputs of the class: were that a promise, it could not be kept.
    monkeypatch.setattr(publishing.Start, "pushed", (2,))
    house.train()
    with pytest.raises(GateMissed, match=r"refusal_kept_of_class_2 is 0\..* pushed or guarded earlier"):
        house.work()
    with house.database.reading() as session:
        assert len(session.scalars(select(VersionRow)).all()) == 2


def test_a_cancelled_first_training_can_be_asked_for_again(house: House) -> None:
    job = house.create(name="late", architecture={"type": "mlp", "hidden": [8]})
    with house.database.writing() as session:
        jobs.cancel_job(session, CALLER, job.id)
    with house.database.writing() as session:
        train.continue_training(session, CALLER, "late", TrainRequest())
    house.work()
    with house.database.reading() as session:
        assert models.get_model(session, "late").serving_version == 1


def test_a_name_is_used_once(house: House) -> None:
    with pytest.raises(ModelExists):
        house.create()
    with house.database.reading() as session:
        assert len(session.scalars(select(JobRow)).all()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "floor"), [("mlp", 0.975), ("cnn", 0.988)])
def test_the_defaults_learn_the_digits(house: House, architecture: str, floor: float) -> None:
    house.create(name="defaults", architecture={"type": architecture}, training={})
    house.work()
    with house.database.reading() as session:
        assert versions.get_version(session, "defaults", 1).metrics.test_accuracy >= floor


def test_what_is_left_of_a_task_is_not_compared_with_all_of_it(task_house: House) -> None:
    task_house.forget(3, tasks=[1], scope="output", refusal="calibrate")
    task_house.work()
    task_house.train(tasks=[[6, 7]])
    task_house.work()
    metrics = version(task_house, 3).metrics
    assert metrics.accuracy_matrix is not None
    assert metrics.accuracy_matrix[-1][1] == 1.0  # the one class that stays has no rival within its task
    falls = [max(row[task] or 0.0 for row in metrics.accuracy_matrix[:-1]) for task in (0, 2)]
    ends = [metrics.accuracy_matrix[-1][task] or 0.0 for task in (0, 2)]
    expected = sum(fall - end for fall, end in zip(falls, ends, strict=True)) / 2
    assert metrics.average_forgetting == pytest.approx(expected)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("learning_rate", [1e-9, 10.0])
def test_a_training_that_learned_nothing_says_so_and_what_it_forgets_is_inconclusive(
    house: House, learning_rate: float
) -> None:
    """Too short, or diverged."""
    training = {"epochs": 1, "learning_rate": learning_rate, "optimizer": "sgd", "momentum": 0.0, "batch_size": 2000}
    job = house.create(name="blank", architecture={"type": "mlp", "hidden": [8]}, training=training)
    house.work()
    with house.database.reading() as session:
        result, blank = jobs.get_job(session, job.id).result, versions.get_version(session, "blank", 1)
        plan = forget.plan(session, "blank", ForgetCreate.model_validate({"target": {"classes": [2]}}))
    assert result is not None
    assert result["warning"] == blank.warning == blank.metrics.warning
    assert "no more than chance" in result["warning"]
    assert result["warning"] in (house.settings.home / "models" / "blank" / "1" / CARD).read_text()
    assert any(result["warning"] in warning for warning in plan.warnings)
    request = house.forget(2, name="blank", scope="output", refusal="none", parameters={"utility_budget": 1.0})
    house.work()
    assert house.request(request.id).verdict in ("inconclusive", "failed")


def test_a_training_that_learned_something_warns_of_nothing(house: House) -> None:
    assert version(house, 1).warning is None
    memorised = version(house, 1).metrics.memorisation
    assert memorised is not None
    assert memorised.chance < 0.15
    assert memorised.unseen_accuracy > 0.8
