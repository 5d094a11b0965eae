"""Tasks from end to end: learned, asked about, forgotten by command line and client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import errors
from app.client import Client
from app.contract.forgetting import ForgetCreate, ForgetTarget
from app.contract.training import TrainRequest
from tests.e2e.server_process import Server

pytestmark = pytest.mark.slow
NAME = "tasks-end-to-end"
SMALL = ["--mode", "synaptic_intelligence", "--hidden", "16", "--task", "0,1", "--task", "2,3", "--task", "4,5"]
TWO, SEVEN = "docs/examples/two.png", "docs/examples/seven.png"
Images = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def learned(server: Server) -> Any:
    version = server.run_json("train", NAME, *SMALL, "--epochs", "2")
    assert (version["number"], version["serving"]) == (1, True)
    return server.run_json("train-further", NAME, "--task", "6,7", "--epochs", "1")


@pytest.fixture(scope="module")
def part_forgotten(server: Server, learned: Any) -> Any:
    options = ["--task", "1", "--class", "3", "--scope", "output", "--refusal", "none"]
    return server.run_json("forget", NAME, *options)


@pytest.fixture(scope="module")
def forgotten(server: Server, part_forgotten: Any) -> Any:
    with server.client() as client:
        asked = ForgetCreate(target=ForgetTarget(tasks=[2]), scope="output", refusal="calibrate")
        request = client.forget(NAME, asked)
        client.wait_for_job(request.job)
        return client.forget_request(request.id).model_dump(mode="json")


def test_a_further_task_is_a_new_version_that_keeps_the_earlier_ones(server: Server, learned: Any) -> None:
    version = server.run_json("versions", "show", NAME, "2")
    assert version["parent"] == 1
    assert [task["classes"] for task in version["metrics"]["tasks"]] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    matrix = version["metrics"]["accuracy_matrix"]
    assert [sum(value is not None for value in row) for row in matrix] == [1, 2, 3, 4]
    assert min(matrix[-1]) > 0.5
    shown = server.run("versions", "show", NAME, "2").stdout
    assert "By task, the task named" in shown
    assert "By task, no task named" in shown


def test_part_of_a_task_is_forgotten_and_the_rest_of_it_is_still_answered(
    server: Server, part_forgotten: Any, test_images: Images
) -> None:
    assert part_forgotten["verdict"] == "passed"
    assert part_forgotten["target"] == {"tasks": [1], "classes": [3]}
    images, labels = test_images
    with server.client() as client:
        answers = client.predict(NAME, images[labels == 2], task=1, version=3).predictions
    assert {answer.label for answer in answers if not answer.forgotten} == {2}


def test_a_forgotten_task_that_is_named_is_always_answered_as_forgotten(
    server: Server, forgotten: Any, test_images: Images, tmp_path: Path
) -> None:
    assert (forgotten["verdict"], forgotten["claim"]) == ("passed", "edited")
    after = {task["task"]: task for task in forgotten["report"]["after"]["tasks"]}
    assert (after[2]["accuracy"], after[2]["refusal_rate"]) == (0.0, 1.0)
    images, _ = test_images
    listed = tmp_path / "listed.json"
    listed.write_text(json.dumps([[0.5] * 784]))
    with server.client() as client:
        assert all(answer.forgotten for answer in client.predict(NAME, images, task=2).predictions)
    for answer in server.run_json("predict", NAME, TWO, str(listed), "--task", "2"):
        assert (answer["predictions"][0]["label"], answer["predictions"][0]["forgotten"]) == (0, True)
    (seven,) = server.run_json("predict", NAME, SEVEN, "--task", "3")
    assert seven["predictions"][0]["label"] in {6, 7}


def test_lists_say_which_tasks_there_are_and_which_are_forgotten(server: Server, forgotten: Any) -> None:
    assert "3, 4, 5 (task 2)" in server.run("models", "list").stdout
    assert "3, 4, 5 (task 2)" in server.run("versions", "list", NAME).stdout
    model = server.run_json("models", "show", NAME)
    assert model["forgotten"] == {"classes": [3, 4, 5], "tasks": [2], "num_samples": 0}
    events = server.run_json("audit", "list", "--model", NAME, "--event", "forget.completed")
    assert [event["details"]["tasks"] for event in events] == [[1], [2]]


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["forget", NAME, "--task", "2"], 6, "forgotten"),
        (["forget", NAME, "--task", "9"], 5, "tasks are 0 to 3"),
        (["forget", NAME, "--class", "1"], 3, "name the task"),
        (["forget", NAME, "--task", "0", "--class", "7"], 5, "none of the tasks"),
        (["train-further", NAME, "--task", "4,8"], 6, "forgotten"),
        (["train-further", NAME, "--task", "7,8"], 3, "belongs to a task already"),
        (["predict", NAME, TWO, "--task", "9"], 5, "task"),
        (["train", "overlapping", "--mode", "progressive", "--task", "0,1", "--task", "1,2"], 3, "overlap"),
        (["train", "uneven", "--mode", "progressive", "--growth", "5"], 3, "growth"),
    ],
)
def test_what_the_server_refuses_is_a_sentence_and_an_exit_code(
    server: Server, forgotten: Any, command: list[str], code: int, says: str
) -> None:
    result = server.run(*command)
    assert (result.returncode, result.stdout) == (code, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_the_client_raises_what_the_server_refuses(server: Server, forgotten: Any) -> None:
    client: Client
    with server.client() as client:
        with pytest.raises(errors.TaskNotFound):
            client.predict(NAME, [[0.0] * 784], task=9)
        with pytest.raises(errors.ClassForgotten):
            client.train(NAME, TrainRequest(tasks=[[4, 5]]))


def test_a_forgotten_task_can_be_forgotten_by_random_numbers_in_a_growing_network(server: Server) -> None:
    growing = ["--mode", "progressive", "--hidden", "12,12", "--growth", "6,6", "--task", "0,1", "--task", "2,3"]
    server.run_json("train", "growing-end-to-end", *growing, "--epochs", "1")
    options = ["--task", "0", "--strategy", "random", "--refusal", "none"]
    assert server.run_json("forget", "growing-end-to-end", *options)["verdict"] == "passed"


def test_the_demonstration_learns_tasks_in_two_ways_and_shows_both_protocols(server: Server) -> None:
    shown = server.run_json("demo", "--tasks", "--epochs", "1")
    assert [model["name"].rpartition("-")[2] for model in shown["models"]] == ["static", "growing"]
    for model in shown["models"]:
        assert [request["verdict"] for request in model["forget_requests"]] == ["passed", "passed"]
        assert [request["target"]["tasks"] for request in model["forget_requests"]] == [[1], [2]]
        named, unnamed = model["after"]["task_named"], model["after"]["no_task_named"]
        assert len(named) == len(unnamed) == len(model["before"]["task_named"]) == 500
        assert sum(answer["forgotten"] for answer in named) > 100  # the digits 2 and 3, by the rule
        assert "forget.completed" in {event["event"] for event in model["audit"]}
    assert shown["verification"]["ok"]
