"""Tasks through the operations: made, learned further, and what a fault in between leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.contract.models import Model, ModelCreate
from app.contract.training import TrainRequest
from app.contract.versions import Version
from app.database.tables import JobRow, VersionRow
from app.datasets import catalogue
from app.errors import (
    ClassForgotten,
    ClassNotFound,
    Conflict,
    ForgetteryError,
    InvalidInput,
    NoServingVersion,
    NotApplicable,
    VersionCorrupted,
)
from app.jobs import queue
from app.jobs.attempt import Attempt
from app.jobs.queue import LostClaim
from app.operations.administration import audit, jobs
from app.operations.handlers import HANDLERS
from app.operations.lookups import find_model, find_version
from app.operations.models import models, versions
from app.operations.pages import PageQuery
from app.operations.training import train
from app.operations.training.tasks import resolve
from app.specs.architectures import Cnn, Mlp, Torchvision
from app.specs.learning import Progressive, Standard, SynapticIntelligence
from app.store import weights
from app.store.manifest import IMPORTANCE, WEIGHTS
from app.store.versions import VersionStore
from app.unlearning.learning.architectures import Classifier
from tests.unit.operations.conftest import CALLER, TASKS, House

MNIST = catalogue.find("mnist")
GROWN = "growing"

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def model(house: House, name: str = "digits") -> Model:
    with house.database.reading() as session:
        return models.get_model(session, name)


def version(house: House, number: int, name: str = "digits") -> Version:
    with house.database.reading() as session:
        return versions.get_version(session, name, number)


def network(house: House, number: int, name: str = "digits") -> Classifier:
    with house.database.reading() as session:
        found = find_version(session, find_model(session, name), number)
    folder = VersionStore(house.settings.home).folder(name, number)
    return weights.load(folder, found.digest, found.manifest_digest)


def importance_of(house: House, number: int) -> list[int]:
    """The tasks whose importance is stored with a version of `digits`."""
    with house.database.reading() as session:
        found = find_version(session, find_model(session, "digits"), number)
    folder = VersionStore(house.settings.home).folder("digits", number)
    return sorted(weights.load_importance(folder, found.manifest_digest, network(house, number)))


def details(house: House, event: str) -> dict[str, Any]:
    with house.database.reading() as session:
        return audit.list_events(session, PageQuery(), event=event).items[-1].details


def serve(house: House, number: int) -> None:
    with house.database.writing() as session:
        versions.set_serving(session, CALLER, "digits", number)


# --- a new model ---------------------------------------------------------------------------------


@given(st.sampled_from(sorted(catalogue.CATALOGUE)))
def test_without_tasks_every_two_classes_are_one_and_no_class_is_left_out(name: str) -> None:
    dataset = catalogue.find(name)
    tasks = resolve(SynapticIntelligence(), Mlp(), dataset).tasks
    assert [number for task in tasks for number in task] == list(range(len(dataset.classes)))
    assert {len(task) for task in tasks[:-1]} == {2}
    assert len(tasks[-1]) == 2 + len(dataset.classes) % 2


def test_growth_left_out_is_the_width_of_the_first_task() -> None:
    learning = resolve(Progressive(tasks=((0, 1), (2,))), Cnn(channels=(4,), hidden=8), MNIST)
    assert learning == Progressive(tasks=((0, 1), (2,)), growth=(4, 8))
    assert resolve(Standard(), Mlp(), MNIST) == Standard()


@pytest.mark.parametrize(
    ("learning", "architecture", "error", "pointer"),
    [
        (SynapticIntelligence(tasks=((0, 1), (1, 2))), Mlp(), InvalidInput, "/learning/tasks/1/0"),
        (SynapticIntelligence(tasks=((0, 0),)), Mlp(), InvalidInput, "/learning/tasks/0/1"),
        (SynapticIntelligence(tasks=((0, 1), (9, 10))), Mlp(), ClassNotFound, "/learning/tasks/1/1"),
        (SynapticIntelligence(tasks=tuple((n,) for n in range(11))), Mlp(), ClassNotFound, "/learning/tasks/10/0"),
        (Progressive(growth=(5,)), Mlp(hidden=(5, 5)), InvalidInput, "/learning/growth"),
        (Progressive(), Mlp(hidden=()), NotApplicable, "/architecture/hidden"),
        (Progressive(growth=(5, 5, 5)), Mlp(hidden=(5, 5)), InvalidInput, "/learning/growth"),
        (Progressive(growth=(1024,)), Mlp(hidden=(8,)), InvalidInput, "/learning/growth"),
        (Progressive(), Torchvision("resnet18"), NotApplicable, "/learning/mode"),
    ],
)
def test_tasks_that_cannot_be_are_pointed_at(
    learning: Any, architecture: Any, error: type[ForgetteryError], pointer: str
) -> None:
    with pytest.raises(error) as caught:
        resolve(learning, architecture, MNIST)
    assert type(caught.value) is error
    assert [fault.pointer for fault in caught.value.errors] == [pointer]


@on_sqlite
def test_a_model_that_cannot_be_takes_no_name(house: House) -> None:
    for change in (
        {"learning": {"mode": "synaptic_intelligence", "tasks": [[0], [0]]}},
        {"learning": {"mode": "progressive"}, "training": {"early_stopping": 2}},
    ):
        with pytest.raises(InvalidInput):
            house.create(name="other", **change)
    with house.database.reading() as session:
        assert [found.name for found in models.list_models(session, PageQuery()).items] == ["digits"]


@on_sqlite
def test_the_answer_names_tasks_and_growth_that_were_left_out(house: House) -> None:
    body = ModelCreate.model_validate({"name": "grown", "dataset": "mnist", "learning": {"mode": "progressive"}})
    with house.database.writing() as session:
        made = models.create_model(session, CALLER, body).model
    assert [list(task) for task in made.learning["tasks"]] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert list(made.learning["growth"]) == [50, 50]
    assert made.training["epochs"] == 10


# --- a version of tasks --------------------------------------------------------------------------


@on_sqlite
def test_a_version_of_tasks_says_how_each_was_learned_and_fares(task_house: House) -> None:
    first = version(task_house, 1)
    assert first.manifest["learning"] == {
        "mode": "synaptic_intelligence",
        "tasks": TASKS,
        "c": 1.0,
        "xi": 0.001,
    }
    recipe = first.manifest["recipe"]
    assert (recipe["tasks"], recipe["epochs_run"]) == ([0, 1, 2], 3)
    assert [number for number, rows in enumerate(recipe["rows_by_class"]) if rows] == [0, 1, 2, 3, 4, 5]
    assert [found.classes for found in first.metrics.tasks] == TASKS
    matrix = first.metrics.accuracy_matrix
    assert matrix is not None
    assert [[value is not None for value in row] for row in matrix] == [
        [True, False, False],
        [True, True, False],
        [True] * 3,
    ]
    assert first.metrics.average_forgetting is not None
    assert first.metrics.backward_transfer is not None
    assert set(first.manifest["files"]) == {WEIGHTS, IMPORTANCE, "README.md"}
    assert importance_of(task_house, 1) == [0, 1, 2]
    card = (VersionStore(task_house.settings.home).folder("digits", 1) / "README.md").read_text()
    assert "| 1 | 2, 3 |" in card


@on_sqlite
def test_a_growing_network_keeps_no_importance(task_house: House) -> None:
    first = version(task_house, 1, GROWN)
    assert first.manifest["learning"]["growth"] == [4]
    assert IMPORTANCE not in first.manifest["files"]
    assert network(task_house, 1, GROWN).head.in_features == 8 + 4


# --- further tasks -------------------------------------------------------------------------------


def test_a_further_task_is_a_new_version_and_the_model_has_it_once_it_is_published(task_house: House) -> None:
    task_house.train(tasks=[[8, 9]])
    assert model(task_house).learning["tasks"] == TASKS
    task_house.work()
    second = version(task_house, 2)
    assert (second.parent, second.serving) == (1, True)
    assert model(task_house).learning["tasks"] == second.manifest["learning"]["tasks"] == [*TASKS, [8, 9]]
    assert second.manifest["recipe"]["tasks"] == [3]
    matrix = second.metrics.accuracy_matrix
    assert matrix is not None
    assert [len(row) for row in matrix] == [4] * 4
    assert [value is not None for value in matrix[2]] == [True] * 3 + [False]
    assert matrix[3][3] is not None
    assert importance_of(task_house, 2) == [0, 1, 2, 3]
    assert details(task_house, "training.requested")["tasks"] == [[8, 9]]


@on_sqlite
def test_a_growing_network_gets_units_and_answers_earlier_tasks_as_before(task_house: House) -> None:
    before = network(task_house, 1, GROWN)
    task_house.train(GROWN, tasks=[[4, 5], [9]])
    task_house.work()
    after = network(task_house, 2, GROWN)
    assert after.head.in_features == 8 + 3 * 4
    images = torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for task in (0, 1):
        torch.testing.assert_close(after.probabilities(images, task), before.probabilities(images, task))
    assert version(task_house, 2, GROWN).manifest["learning"]["tasks"] == [[0, 1], [2, 3], [4, 5], [9]]


@on_sqlite
@pytest.mark.parametrize(
    ("tasks", "error", "pointers"),
    [
        ([[5, 6]], InvalidInput, ["/tasks/0/0"]),
        ([[6, 7], [8, 6]], InvalidInput, ["/tasks/1/1"]),
        ([[8, 10], [11]], ClassNotFound, ["/tasks/0/1", "/tasks/1/0"]),
        ([[8], [9], [6], [7], [10]], ClassNotFound, ["/tasks/4/0"]),
    ],
)
def test_tasks_that_cannot_be_learned_are_refused_at_once(
    task_house: House, tasks: list[list[int]], error: type[ForgetteryError], pointers: list[str]
) -> None:
    with pytest.raises(error) as caught:
        task_house.train(tasks=tasks)
    assert [fault.pointer for fault in caught.value.errors] == pointers
    with task_house.database.reading() as session:
        assert len(session.scalars(select(JobRow)).all()) == 2


@on_sqlite
def test_a_class_of_no_task_cannot_be_trained_on_by_its_name(task_house: House) -> None:
    with pytest.raises(ClassNotFound, match="8"):
        task_house.train(classes=[0, 8])


@on_sqlite
def test_a_growing_network_does_not_grow_beyond_bounds(task_house: House) -> None:
    task_house.create(
        name="wide",
        architecture={"type": "mlp", "hidden": [2000]},
        learning={"mode": "progressive", "tasks": [[0], [1]]},
    )
    with pytest.raises(InvalidInput, match="wider") as caught:
        task_house.train("wide", tasks=[[2]])
    assert [fault.pointer for fault in caught.value.errors] == ["/tasks"]


@on_sqlite
def test_early_stopping_of_tasks_is_refused(task_house: House) -> None:
    with pytest.raises(NotApplicable) as caught:
        task_house.train(training={"early_stopping": 1})
    assert [fault.pointer for fault in caught.value.errors] == ["/training/early_stopping"]


def test_of_requests_that_race_for_a_class_one_gets_it(task_house: House) -> None:
    def ask(tasks: list[list[int]]) -> str:
        try:
            return task_house.train(tasks=tasks).status
        except InvalidInput:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, [[[8, 9]], [[9, 6]], [[8], [9]], [[9]]]))
    assert sorted(answers) == ["queued", "refused", "refused", "refused"]


def test_two_requests_for_further_tasks_are_learned_one_after_the_other(task_house: House) -> None:
    task_house.train(tasks=[[6, 7]])
    task_house.train(tasks=[[8, 9]])
    task_house.work()
    task_house.work()
    assert model(task_house).learning["tasks"] == [*TASKS, [6, 7], [8, 9]]
    assert version(task_house, 3).parent == 2


@on_sqlite
def test_what_a_cancelled_request_would_have_learned_may_be_asked_for_again(task_house: House) -> None:
    job = task_house.train(tasks=[[8, 9]])
    with task_house.database.writing() as session:
        jobs.cancel_job(session, CALLER, job.id)
    task_house.train(tasks=[[9, 8]])


@on_sqlite
def test_further_tasks_need_a_version_to_build_on(task_house: House) -> None:
    job = task_house.create(name="late", learning={"mode": "synaptic_intelligence", "tasks": [[0, 1]]})
    task_house.train("late", tasks=[[2, 3]])
    with task_house.database.writing() as session:
        jobs.cancel_job(session, CALLER, job.id)
    with pytest.raises(NoServingVersion):
        task_house.work()
    with task_house.database.writing() as session:  # as its worker ends it
        for row in session.scalars(select(JobRow).where(JobRow.status == "running")):
            row.status = "failed"
    with pytest.raises(NoServingVersion):
        task_house.train("late", tasks=[[2, 3]])


def test_no_task_is_learned_on_a_version_that_lacks_another(task_house: House) -> None:
    task_house.train(tasks=[[8, 9]], serve=False)
    task_house.work()
    assert model(task_house).serving_version == 1
    with pytest.raises(Conflict, match="version 1, which serves, has 3 of the model's 4 tasks"):
        task_house.train(tasks=[[6, 7]])
    serve(task_house, 2)
    task_house.train(tasks=[[6, 7]])
    serve(task_house, 1)  # while the job waits
    with pytest.raises(Conflict):
        task_house.work()
    assert model(task_house).learning["tasks"] == [*TASKS, [8, 9]]


@on_sqlite
def test_where_no_version_with_all_tasks_is_left_training_from_scratch_learns_them_all(task_house: House) -> None:
    task_house.train(tasks=[[8, 9]], serve=False)
    task_house.work()
    task_house.forget(tasks=[0], refusal="none", scope="output", parameters={"utility_budget": 1.0})
    task_house.work()  # puts the version with all tasks out of reach
    with pytest.raises(Conflict, match="or train from_scratch"):
        task_house.train(tasks=[[6, 7]])
    task_house.train(from_scratch=True)
    task_house.work()
    fourth = version(task_house, 4)
    assert (fourth.serving, fourth.forgotten.tasks, fourth.manifest["recipe"]["tasks"]) == (True, [0], [1, 2, 3])
    assert importance_of(task_house, 4) == [1, 2, 3]
    task_house.train(tasks=[[6, 7]])


@on_sqlite
def test_a_version_with_fewer_tasks_is_trained_further_as_it_is(task_house: House) -> None:
    task_house.train(tasks=[[8, 9]], serve=False)
    task_house.work()
    task_house.train()
    task_house.work()
    assert version(task_house, 3).manifest["learning"]["tasks"] == TASKS
    assert model(task_house).learning["tasks"] == [*TASKS, [8, 9]]


# --- once more, and after forgetting -------------------------------------------------------------


@on_sqlite
def test_training_further_learns_every_task_again_in_order(task_house: House) -> None:
    task_house.train(training={"epochs": 2})
    task_house.work()
    second = version(task_house, 2)
    assert second.manifest["recipe"]["tasks"] == [0, 1, 2]
    assert second.manifest["recipe"]["training"]["epochs"] == 2
    assert second.manifest["recipe"]["training"]["batch_size"] == 200
    assert second.manifest["recipe"]["epochs_run"] == 6
    assert second.metrics.accuracy_matrix is not None
    assert len(second.metrics.accuracy_matrix) == 6


@on_sqlite
def test_training_from_scratch_begins_a_new_matrix_and_learns_named_classes_alone(task_house: House) -> None:
    task_house.train(from_scratch=True, classes=[2, 3, 4])
    task_house.work()
    second = version(task_house, 2)
    assert second.parent is None
    assert second.manifest["recipe"]["tasks"] == [1, 2]
    assert second.metrics.accuracy_matrix is not None
    assert len(second.metrics.accuracy_matrix) == 2
    assert importance_of(task_house, 2) == [1, 2]


@on_sqlite
def test_a_version_without_the_importance_of_any_task_is_built_upon(task_house: House) -> None:
    task_house.train(from_scratch=True, classes=[0, 1])
    task_house.work()
    task_house.forget(tasks=[0], refusal="none", scope="output", parameters={"utility_budget": 1.0})
    task_house.work()
    assert importance_of(task_house, 3) == []
    task_house.train()
    task_house.work()
    assert importance_of(task_house, 4) == [1, 2]


def test_a_forgotten_task_is_never_learned_again_and_leaves_no_importance(task_house: House) -> None:
    task_house.forget(tasks=[1], refusal="none", scope="output", parameters={"utility_budget": 1.0})
    task_house.work()
    assert importance_of(task_house, 2) == [0, 2]
    with pytest.raises(ClassForgotten):
        task_house.train(tasks=[[8, 2]])
    with pytest.raises(ClassForgotten):
        train.refuse_relearning(task_house.database, CALLER, "digits", TrainRequest(tasks=[[8, 2]]))
    assert details(task_house, "relearning.refused") == {"classes": [2], "tasks": [1]}
    task_house.train(tasks=[[8, 9]])
    task_house.work()
    third = version(task_house, 3)
    assert (third.forgotten.classes, third.forgotten.tasks) == ([2, 3], [1])
    assert third.manifest["forgotten"] == {"classes": [2, 3], "tasks": [1], "num_samples": 0}
    assert importance_of(task_house, 3) == [0, 2, 3]
    assert bool((network(task_house, 3).head.weight[[2, 3]] == 0).all())
    task_house.train()
    task_house.work()
    assert version(task_house, 4).manifest["recipe"]["tasks"] == [0, 2, 3]


# --- faults --------------------------------------------------------------------------------------


class EndsBetweenTasks(Attempt):
    """An attempt whose worker loses its job when the second of its tasks begins."""

    def progress(self, fraction: float, stage: str, message: str) -> None:
        if message.startswith("task 4"):
            raise LostClaim("the lease ran out")
        super().progress(fraction, stage, message)


def test_of_an_attempt_that_ends_between_two_tasks_nothing_is_seen_and_the_next_one_starts_again(
    task_house: House,
) -> None:
    task_house.train(tasks=[[6, 7], [8, 9]])
    attempt = task_house.claim()
    with pytest.raises(LostClaim):
        train.run(EndsBetweenTasks(attempt.claim, attempt.settings, attempt.database))
    assert model(task_house).learning["tasks"] == TASKS
    assert model(task_house).latest_version == 1
    assert not (task_house.settings.home / "models" / "digits" / "2").exists()
    endings = {kind: handler.ended for kind, handler in HANDLERS.items()}
    with task_house.database.writing() as session:
        queue.release(session, attempt.claim, endings)
    task_house.work()
    assert version(task_house, 2).manifest["recipe"]["tasks"] == [3, 4]


def _cut(content: bytes) -> bytes:
    return content[:-1]


def _changed(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@on_sqlite
@pytest.mark.parametrize("damage", [_cut, _changed, None])
@pytest.mark.parametrize("ask", [House.train, lambda house: house.forget(tasks=[1], refusal="none")])
def test_damaged_or_missing_importance_fails_the_job_and_is_logged(
    task_house: House, damage: Callable[[bytes], bytes] | None, ask: Callable[[House], Any]
) -> None:
    path = VersionStore(task_house.settings.home).folder("digits", 1) / IMPORTANCE
    if damage:
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    ask(task_house)
    with pytest.raises(VersionCorrupted, match=IMPORTANCE):
        task_house.work()
    with task_house.database.reading() as session:
        assert audit.list_events(session, PageQuery()).items[-1].event == "version.corrupted"
        corrupted = session.scalars(select(VersionRow).where(VersionRow.corrupted_at.is_not(None))).all()
    assert [found.number for found in corrupted] == [1]


@on_sqlite
def test_a_purge_destroys_the_importance_too(task_house: House) -> None:
    task_house.forget(tasks=[1], refusal="none", scope="output", parameters={"utility_budget": 1.0})
    task_house.work()
    versions.purge_version(task_house.database, task_house.settings, CALLER, "digits", 1)
    folder = VersionStore(task_house.settings.home).folder("digits", 1)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "README.md"}
