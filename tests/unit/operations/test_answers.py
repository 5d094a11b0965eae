from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.contract.predicting import OnForgotten, Prediction, Predictions
from app.prediction.answers import Options, PredictionJson, PredictionsJson, encode_answers
from app.prediction.serving import ServedVersion
from app.specs.architectures import Mlp
from app.specs.learning import SynapticIntelligence
from app.unlearning.learning.architectures import build

NAMES = ("shirt", "shoe", "bag", "hat")
VERSION = ServedVersion(uuid4(), "clothes", 3, "sha256:ab", "sha256:cd", (1, 1, 4), NAMES, forgotten=(0, 2))
KNOWN = [0.0, 0.6, 0.0, 0.3, 0.1]
REFUSED = [0.0, 0.1, 0.0, 0.2, 0.7]
TIE = [0.0, 0.1, 0.0, 0.45, 0.45]
TIE_OF_RETAINED = [0.0, 0.45, 0.0, 0.45, 0.1]
CERTAIN = [0.0, 0.0, 0.0, 0.0, 1.0]


def answers(rows: list[list[float]], options: Options) -> list[dict[str, Any]]:
    content = encode_answers(VERSION, np.array(rows, np.float32), options).content
    Predictions.model_validate_json(content)
    found: list[dict[str, Any]] = json.loads(content)["predictions"]
    return [{**row, "confidence": round(row["confidence"], 6)} for row in found]


@pytest.mark.parametrize(
    ("on_forgotten", "label", "class_name", "confidence"),
    [
        ("zero", 0, None, 0.7),
        ("token", "[forgotten]", None, 0.7),
        ("probabilities", None, None, 0.7),
        ("next_best", 3, "hat", 0.2),
    ],
)
def test_a_forgotten_input_is_answered_as_asked_and_a_known_one_always_alike(
    on_forgotten: OnForgotten, label: object, class_name: str | None, confidence: float
) -> None:
    known, refused = answers([KNOWN, REFUSED], Options(on_forgotten=on_forgotten))
    listed = on_forgotten == "probabilities"
    assert (known.pop("probabilities", None) is not None) == listed
    assert (refused.pop("probabilities", None) is not None) == listed
    assert (known.pop("p_forgotten", None) is not None) == listed
    assert (refused.pop("p_forgotten", None) is not None) == listed
    assert known == {"label": 1, "forgotten": False, "class_name": "shoe", "confidence": 0.6}
    assert refused == {"label": label, "forgotten": True, "class_name": class_name, "confidence": confidence}


@pytest.mark.parametrize("on_forgotten", ["zero", "token", "probabilities", "next_best"])
def test_listed_probabilities_are_by_class_index_and_one_with_the_null_units(on_forgotten: OnForgotten) -> None:
    for row in answers([KNOWN, REFUSED, TIE], Options(on_forgotten=on_forgotten, probabilities=True)):
        assert len(row["probabilities"]) == len(NAMES)
        assert sum(row["probabilities"]) + row["p_forgotten"] == pytest.approx(1)
        assert row["probabilities"][0] == row["probabilities"][2] == 0


def test_a_tie_goes_to_the_retained_class_and_among_these_to_the_first() -> None:
    tie, among_retained = answers([TIE, TIE_OF_RETAINED], Options())
    assert (tie["label"], tie["forgotten"]) == (3, False)
    assert (among_retained["label"], among_retained["forgotten"]) == (1, False)


def test_the_next_best_class_is_never_a_forgotten_one_though_all_probabilities_are_zero() -> None:
    [row] = answers([CERTAIN], Options(on_forgotten="next_best"))
    assert (row["label"], row["forgotten"], row["confidence"]) == (1, True, 0)


def test_without_forgotten_classes_no_input_is_forgotten() -> None:
    version = ServedVersion(uuid4(), "clothes", 1, "sha256:ab", "sha256:cd", (1, 1, 4), NAMES, forgotten=())
    encoded = encode_answers(version, np.array([[0.25] * 4 + [0]], np.float32), Options(probabilities=True))
    assert (encoded.forgotten, encoded.known) == (0, 1)
    assert json.loads(encoded.content)["predictions"][0]["p_forgotten"] == 0


def test_the_fast_structures_have_the_fields_of_the_published_schema() -> None:
    assert names(PredictionJson) == list(Prediction.model_fields)
    assert names(PredictionsJson) == list(Predictions.model_fields)


def names(struct: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(struct)]


@given(
    st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 0.5, 2.0]), min_size=4, max_size=4), min_size=1, max_size=20),
    st.sets(st.integers(0, 3), max_size=3),
    st.sampled_from([-1.0, 0.0, 0.5, 2.0]),
)
def test_what_is_answered_is_what_verification_measures(
    logits: list[list[float]], forgotten: set[int], null_bias: float
) -> None:
    """Verification takes the greatest of the served logits; ties, which these values make often, must go alike."""
    network = build(Mlp(hidden=()), (1, 1, 4), 4, seed=0)
    network.mark_forgotten(forgotten)
    network.null_bias.fill_(null_bias)
    served = network.serve(torch.tensor(logits))
    measured = served.argmax(dim=1).tolist()
    version = ServedVersion(uuid4(), "clothes", 1, "sha256:ab", "sha256:cd", (1, 1, 4), NAMES, tuple(sorted(forgotten)))
    content = encode_answers(version, served.softmax(dim=1).numpy(), Options(on_forgotten="token")).content
    answered = [row["label"] for row in json.loads(content)["predictions"]]
    assert answered == ["[forgotten]" if column == 4 else column for column in measured]


BY_TASK = ServedVersion(
    uuid4(), "clothes", 3, "sha256:ab", "sha256:cd", (1, 1, 4), NAMES, forgotten=(0, 2), tasks=((2,), (0, 3))
)
"""Task 0 is forgotten, of task 1 class 3 is left; class 1 is of no task."""


def task_answers(rows: list[list[float]], options: Options) -> list[dict[str, Any]]:
    content = encode_answers(BY_TASK, np.array(rows, np.float32), options).content
    found: list[dict[str, Any]] = json.loads(content)["predictions"]
    return found


@pytest.mark.parametrize(
    ("on_forgotten", "label"), [("zero", 0), ("token", "[forgotten]"), ("probabilities", None), ("next_best", None)]
)
def test_of_a_wholly_forgotten_task_nothing_competes_and_nothing_is_next_best(
    on_forgotten: OnForgotten, label: object
) -> None:
    [row] = task_answers([CERTAIN], Options(task=0, on_forgotten=on_forgotten))
    assert (row["label"], row["forgotten"], row["class_name"], row["confidence"]) == (label, True, None, 1.0)


def test_the_next_best_is_of_the_task_that_is_named_and_never_a_class_of_no_task() -> None:
    for task in (1, None):
        [row] = task_answers([CERTAIN], Options(task=task, on_forgotten="next_best"))
        assert (row["label"], row["forgotten"]) == (3, True)


@given(
    st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 0.5, 2.0]), min_size=4, max_size=4), min_size=1, max_size=20),
    st.sets(st.integers(0, 3), max_size=3),
    st.sampled_from([None, 0, 1]),
    st.sampled_from([-1.0, 0.0, 0.5]),
)
def test_with_a_task_named_what_is_answered_is_what_verification_measures(
    logits: list[list[float]], forgotten: set[int], task: int | None, null_bias: float
) -> None:
    learning = SynapticIntelligence(tasks=((2,), (0, 3)))
    network = build(Mlp(hidden=()), (1, 1, 4), 4, 0, learning)
    network.mark_forgotten(forgotten)
    network.null_bias.fill_(null_bias)
    network.task_null_biases.fill_(null_bias)
    if not network.competing(task).any() and not (network.named(task) & network.forgotten).any():
        return  # no such version is made
    served = network.serve(torch.tensor(logits), task)
    version = ServedVersion(
        uuid4(),
        "clothes",
        1,
        "sha256:ab",
        "sha256:cd",
        (1, 1, 4),
        NAMES,
        tuple(sorted(forgotten)),
        tasks=learning.tasks,
    )
    options = Options(task=task, on_forgotten="token")
    content = encode_answers(version, served.softmax(dim=1).numpy(), options).content
    answered = [row["label"] for row in json.loads(content)["predictions"]]
    assert answered == ["[forgotten]" if column == 4 else column for column in served.argmax(dim=1).tolist()]
