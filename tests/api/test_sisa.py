"""Models that learn in shards, as the wire shows them; nothing is computed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.real_server import assert_problem

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

FORGET = "/v1/models/shards/forget"
TRAIN = "/v1/models/shards/train"
SHARDS = {"name": "shards", "dataset": "mnist", "learning": {"mode": "sisa", "shards": 4, "slices": 2}}


@pytest.fixture
def shards(client: httpx.Client) -> httpx.Client:
    """A client of a server on which `shards` waits for its training."""
    assert client.post("/v1/models", json=SHARDS).status_code == 202
    return client


def test_a_model_says_how_many_shards_and_slices_it_learns_in(shards: httpx.Client) -> None:
    model = shards.get("/v1/models/shards").json()
    assert model["learning"] == {"mode": "sisa", "shards": 4, "slices": 2}
    assert model["architecture"] == {"type": "mlp", "hidden": [128]}
    assert model["training"]["epochs"] == 5


def test_what_is_left_out_are_five_shards_of_three_slices(client: httpx.Client) -> None:
    body = {"name": "shards", "dataset": "mnist", "learning": {"mode": "sisa"}}
    assert client.post("/v1/models", json=body).json()["model"]["learning"] == {
        "mode": "sisa",
        "shards": 5,
        "slices": 3,
    }


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"learning": {"mode": "sisa", "shards": 0}}, "/learning"),
        ({"learning": {"mode": "sisa", "slices": 101}}, "/learning"),
        ({"learning": {"mode": "sisa", "slices": 2.5}}, "/learning"),
        ({"learning": {"mode": "sisa", "tasks": [[0, 1]]}}, "/learning"),
        ({"learning": {"mode": "standard", "shards": 2}}, "/learning"),
    ],
)
def test_shards_that_cannot_be_are_refused(client: httpx.Client, changes: dict[str, Any], pointer: str) -> None:
    problem = assert_problem(client.post("/v1/models", json=SHARDS | changes), 422, "invalid-input")
    assert all(error["pointer"].startswith(pointer) for error in problem["errors"])


def test_early_stopping_of_shards_is_not_applicable(client: httpx.Client) -> None:
    response = client.post("/v1/models", json=SHARDS | {"training": {"early_stopping": 2}})
    problem = assert_problem(response, 422, "not-applicable")
    assert [error["pointer"] for error in problem["errors"]] == ["/training/early_stopping"]


def test_shards_are_trained_further_from_scratch_alone(shards: httpx.Client) -> None:
    problem = assert_problem(shards.post(TRAIN, json={"training": {"early_stopping": 1}}), 422, "not-applicable")
    assert [error["pointer"] for error in problem["errors"]] == ["/training/early_stopping", "/from_scratch"]
    assert_problem(shards.post(TRAIN, json={"tasks": [[0, 1]]}), 422, "not-applicable")
    assert shards.post(TRAIN, json={"from_scratch": True}).status_code == 202


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"target": {"classes": [2]}}, ["/method", "/refusal"]),
        ({"target": {"classes": [2]}, "method": "scrub", "refusal": "push"}, ["/method", "/refusal"]),
        ({"target": {"classes": [2]}, "method": "retrain", "refusal": "push"}, ["/refusal"]),
        ({"target": {"classes": [2]}, "method": "sisa", "refusal": "none"}, ["/target"]),
        ({"target": {"samples": [2]}, "method": "finetune"}, ["/method"]),
    ],
)
def test_what_shards_cannot_forget_is_refused_with_every_reason(
    shards: httpx.Client, body: dict[str, Any], pointers: list[str]
) -> None:
    problem = assert_problem(shards.post(FORGET, json=body), 422, "not-applicable")
    assert [error["pointer"] for error in problem["errors"]] == pointers


def test_samples_by_sisa_and_classes_by_retraining_are_queued(shards: httpx.Client) -> None:
    asked = [{"target": {"samples": [2, 3]}, "method": "sisa"}, {"target": {"classes": [2]}, "method": "retrain"}]
    for body in asked:
        response = shards.post(FORGET, json=body)
        assert response.status_code == 202, response.text
        assert response.json()["method"] == body["method"]
