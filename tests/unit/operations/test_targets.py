"""Forgetting a task or a part of one, through the operations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from sqlalchemy import select

from app.contract.forgetting import ForgetCreate, ForgetPlan
from app.database.tables import JobRow, VersionRow
from app.errors import (
    AlreadyForgotten,
    ClassNotFound,
    Conflict,
    ForgetteryError,
    InvalidInput,
    NotApplicable,
    NothingLeft,
    SampleNotFound,
    TaskNotFound,
)
from app.operations.administration import jobs
from app.operations.forgetting import forget
from tests.unit.operations.conftest import CALLER, House
from tests.unit.operations.test_tasks import GROWN, details, importance_of, model, network, serve, version

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
EDIT: dict[str, Any] = {"refusal": "none", "parameters": {"utility_budget": 1.0}}
"""What the gate says of these small networks is tested beside it; here it shall pass."""


def ask(house: House, target: dict[str, Any], name: str = "digits") -> None:
    body = ForgetCreate.model_validate({"target": target, **EDIT})
    with house.database.writing() as session:
        forget.submit(session, CALLER, name, body)


def plan(house: House, target: dict[str, Any], name: str = "digits", **options: Any) -> ForgetPlan:
    with house.database.reading() as session:
        return forget.plan(session, name, ForgetCreate.model_validate({"target": target, **options}))


# --- what is forgotten ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", GROWN])
def test_a_forgotten_task_is_said_to_be_so_everywhere(task_house: House, name: str) -> None:
    request = task_house.forget(name=name, tasks=[1], **EDIT)
    assert request.target == {"tasks": [1], "classes": [2, 3]}
    task_house.work()
    done = task_house.request(request.id)
    assert (done.status, done.verdict, done.version) == ("completed", "passed", 2)
    second = version(task_house, 2, name)
    for forgotten in (model(task_house, name).forgotten, second.forgotten):
        assert (forgotten.classes, forgotten.tasks) == ([2, 3], [1])
    assert second.manifest["forgotten"]["tasks"] == [1]
    for event in ("forget.requested", "forget.completed"):
        assert (details(task_house, event)["tasks"], details(task_house, event)["classes"]) == ([1], [2, 3])
    published = details(task_house, "version.published")
    assert (published["forgotten"], published["tasks"]) == ([2, 3], [1])


@on_sqlite
def test_the_report_measures_every_task_and_the_parents_matrix_is_carried_on(task_house: House) -> None:
    request = task_house.forget(tasks=[1], **EDIT)
    task_house.work()
    report = task_house.request(request.id).report
    assert report is not None
    before, after = report.before.tasks[1], report.after.tasks[1]
    assert before.accuracy is not None
    assert before.accuracy > 0.5
    assert (after.accuracy, after.refusal_rate, after.retained_accuracy) == (0.0, 1.0, None)
    assert report.importance_histogram
    assert all(len(counts) == 10 for counts in report.importance_histogram.values())
    first, second = version(task_house, 1).metrics, version(task_house, 2).metrics
    assert second.tasks == report.after.tasks
    assert second.accuracy_matrix == first.accuracy_matrix
    assert second.average_forgetting == first.average_forgetting
    assert second.num_parameters == first.num_parameters
    assert second.training_seconds == report.seconds["method"]
    assert second.training_cpu_seconds == report.cpu_seconds["method"]


def test_part_of_a_task_is_forgotten_and_later_the_rest_of_it(task_house: House) -> None:
    task_house.forget(3, tasks=[1], **EDIT)
    task_house.work()
    assert model(task_house).forgotten.classes == [3]
    assert model(task_house).forgotten.tasks == []
    assert importance_of(task_house, 2) == [0, 1, 2]
    rest = task_house.forget(tasks=[1], **EDIT)
    assert rest.target == {"tasks": [1], "classes": [2]}
    task_house.work()
    assert (model(task_house).forgotten.classes, model(task_house).forgotten.tasks) == ([2, 3], [1])
    assert importance_of(task_house, 3) == [0, 2]


def test_two_requests_for_tasks_stack(task_house: House) -> None:
    first, second = task_house.forget(tasks=[2], **EDIT), task_house.forget(tasks=[0], **EDIT)
    task_house.work()
    task_house.work()
    assert task_house.request(first.id).version == 2
    assert (task_house.request(second.id).parent_version, task_house.request(second.id).version) == (2, 3)
    assert version(task_house, 3).forgotten.tasks == [0, 2]
    assert importance_of(task_house, 3) == [1]
    images = torch.rand(9, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert bool((network(task_house, 3).probabilities(images, 2)[:, -1] == 1).all())


@on_sqlite
def test_several_tasks_are_one_target_and_repeated_ones_are_refused(task_house: House) -> None:
    with pytest.raises(ValidationError, match="each once"):
        task_house.forget(tasks=[2, 0, 2])
    assert task_house.forget(tasks=[2, 0]).target == {"tasks": [0, 2], "classes": [0, 1, 4, 5]}


# --- what is refused -----------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize(
    ("target", "error", "pointer"),
    [
        ({"tasks": [3]}, TaskNotFound, "/target/tasks"),
        ({"tasks": [0, 2**30]}, TaskNotFound, "/target/tasks"),
        ({"classes": [3]}, NotApplicable, "/target/tasks"),
        ({"classes": [8]}, NotApplicable, "/target/tasks"),
        ({"tasks": [1], "classes": [4]}, ClassNotFound, "/target/classes"),
        ({"tasks": [1], "classes": [8]}, ClassNotFound, "/target/classes"),
        ({"tasks": [1], "classes": [10]}, ClassNotFound, "/target/classes"),
        ({"tasks": [0, 1], "classes": [3]}, InvalidInput, "/target/tasks"),
        ({"samples": [7, 60_000]}, SampleNotFound, "/target/samples/1"),
        ({"tasks": [0, 1, 2]}, NothingLeft, None),
    ],
)
def test_what_cannot_be_forgotten_is_refused_at_once_and_pointed_at(
    task_house: House, target: dict[str, Any], error: type[ForgetteryError], pointer: str | None
) -> None:
    with pytest.raises(error) as caught:
        ask(task_house, target)
    assert type(caught.value) is error
    assert [fault.pointer for fault in caught.value.errors] == ([pointer] if pointer else [])
    with task_house.database.reading() as session:
        assert len(session.scalars(select(JobRow)).all()) == 2


@on_sqlite
def test_whoever_names_a_class_alone_is_told_its_task(task_house: House) -> None:
    with pytest.raises(NotApplicable, match="whose tasks are 1"):
        ask(task_house, {"classes": [3]})


@on_sqlite
def test_a_task_of_a_model_without_tasks_is_refused(house: House) -> None:
    for target in ({"tasks": [0]}, {"tasks": [0], "classes": [1]}):
        with pytest.raises(NotApplicable) as caught:
            ask(house, target)
        assert [fault.pointer for fault in caught.value.errors] == ["/target/tasks"]


def test_queued_requests_count_for_tasks_and_their_classes(task_house: House) -> None:
    task_house.forget(tasks=[1])
    for target in ({"tasks": [1]}, {"tasks": [0, 1]}, {"tasks": [1], "classes": [3]}):
        with pytest.raises(AlreadyForgotten):
            ask(task_house, target)
    task_house.forget(1, tasks=[0])
    with pytest.raises(AlreadyForgotten, match="classes 1"):
        ask(task_house, {"tasks": [0], "classes": [0, 1]})
    assert task_house.forget(tasks=[0]).target == {"tasks": [0], "classes": [0, 1]}
    with pytest.raises(NothingLeft):
        ask(task_house, {"tasks": [2]})


@pytest.mark.parametrize("first_succeeds", [True, False])
def test_a_task_is_forgotten_whatever_becomes_of_the_request_for_a_part_before_it(
    task_house: House,
    first_succeeds: bool,  # noqa: FBT001  by parameter
) -> None:
    part = task_house.forget(1, tasks=[0], **EDIT)
    whole = task_house.forget(tasks=[0], **EDIT)
    if first_succeeds:
        task_house.work()
    else:
        with task_house.database.writing() as session:
            jobs.cancel_job(session, CALLER, part.job.id)
    task_house.work()
    done = task_house.request(whole.id)
    assert done.status == "completed"
    assert done.target == {"tasks": [0], "classes": [0] if first_succeeds else [0, 1]}
    assert details(task_house, "forget.completed")["classes"] == done.target["classes"]
    assert (model(task_house).forgotten.classes, model(task_house).forgotten.tasks) == ([0, 1], [0])


@on_sqlite
def test_a_task_that_waits_to_be_learned_cannot_be_forgotten_yet(task_house: House) -> None:
    task_house.train(tasks=[[8, 9]])
    with pytest.raises(TaskNotFound, match="once it is"):
        ask(task_house, {"tasks": [3]})
    task_house.work()
    ask(task_house, {"tasks": [3]})


def test_a_task_that_the_serving_version_lacks_is_no_target_of_it(task_house: House) -> None:
    task_house.train(tasks=[[8, 9]])
    task_house.work()
    ask(task_house, {"tasks": [3]})
    serve(task_house, 1)  # while the request waits
    with pytest.raises(Conflict, match="has 3 of the model's 4 tasks"):
        ask(task_house, {"tasks": [3]})
    with pytest.raises(Conflict, match="has 3 of the model's 4 tasks"):
        task_house.work()
    with task_house.database.reading() as session:
        assert set(session.scalars(select(VersionRow.state))) == {"available"}
    with pytest.raises(NothingLeft):
        ask(task_house, {"tasks": [0, 1, 2]})


# --- dry runs ------------------------------------------------------------------------------------


@on_sqlite
def test_a_dry_run_counts_the_rows_of_tasks_learned_by_earlier_versions(task_house: House) -> None:
    rows = version(task_house, 1).manifest["recipe"]["rows_by_class"]
    alone = plan(task_house, {"tasks": [1]})
    assert alone.target == {"tasks": [1], "classes": [2, 3]}
    assert (alone.num_forget, alone.num_retain) == (rows[2] + rows[3], sum(rows) - rows[2] - rows[3])
    task_house.train(tasks=[[8, 9]])
    task_house.work()
    further = version(task_house, 2).manifest["recipe"]["rows_by_class"]
    later = plan(task_house, {"tasks": [1]})
    assert later.num_forget == alone.num_forget
    assert later.num_retain == sum(rows) + sum(further) - rows[2] - rows[3]
    task_house.forget(5, tasks=[2])
    assert plan(task_house, {"tasks": [1]}).num_retain == later.num_retain - rows[5]


@on_sqlite
def test_a_dry_run_of_a_standard_model_counts_rows_that_the_last_training_left_out(house: House) -> None:
    rows = version(house, 1).manifest["recipe"]["rows_by_class"]
    house.train(classes=[3, 4])
    house.work()
    found = plan(house, {"classes": [2]})
    assert (found.num_forget, found.num_retain) == (rows[2], sum(rows) - rows[2])


@on_sqlite
def test_epochs_of_tasks_count_for_the_rows_of_each_alone(task_house: House) -> None:
    """Three tasks of one epoch each saw every row once, as one epoch of a standard model does."""
    metrics, recipe = version(task_house, 1).metrics, version(task_house, 1).manifest["recipe"]
    rows = sum(recipe["rows_by_class"])
    found = plan(task_house, {"tasks": [1]}, parameters={"push_steps": 10_000})
    per_image = metrics.training_seconds / rows
    assert found.expected_seconds == pytest.approx(per_image * 10_000 * 120, rel=0.1, abs=0.1)
