from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from app.api.bodies import parse
from app.contract.forgetting import ForgetCreate, ForgetTarget, parameters_of
from app.contract.models import ModelCreate
from app.contract.training import TrainingChanges, TrainRequest
from app.errors import InvalidInput
from app.specs.architectures import Cnn, Gru, Mlp
from app.specs.learning import Mode, Progressive, Standard, SynapticIntelligence
from app.specs.methods import METHOD_SPECS
from app.specs.refusing import GuardParameters
from app.specs.training import ARCHITECTURE_OF_MODE, TRAINING_OF_MODE, Training

MODES: list[Mode] = ["standard", "synaptic_intelligence", "progressive"]
NAMED = {"name": "digits", "dataset": "mnist"}


def asked(**body: Any) -> ModelCreate:
    return parse(ModelCreate, json.dumps(NAMED | body).encode())


@pytest.mark.parametrize("mode", MODES)
def test_what_is_left_out_is_that_of_the_learning_mode(mode: Mode) -> None:
    body = asked(learning={"mode": mode})
    assert body.architecture == ARCHITECTURE_OF_MODE[mode]
    assert body.training == TRAINING_OF_MODE[mode]


@given(
    st.sampled_from(MODES), st.fixed_dictionaries({}, optional={"epochs": st.integers(1, 9), "seed": st.integers(0, 9)})
)
def test_of_training_given_in_part_the_rest_is_that_of_the_mode(mode: Mode, part: dict[str, int]) -> None:
    training = asked(learning={"mode": mode}, training=part).training
    assert asdict(training) == asdict(TRAINING_OF_MODE[mode]) | part


def test_without_a_learning_all_classes_are_learned_at_once() -> None:
    body = asked()
    assert (body.learning, body.architecture, body.training) == (Standard(), Mlp(), Training())


def test_a_learning_that_names_no_mode_is_standard_and_an_architecture_that_names_no_type_an_mlp() -> None:
    assert asked(learning={}, architecture={"hidden": [3]}) == asked(architecture={"type": "mlp", "hidden": [3]})
    assert asked(learning={"mode": "progressive"}, architecture={}).architecture == Mlp(hidden=(50, 50))


@pytest.mark.parametrize(
    ("nulls", "rest"),
    [
        ({"learning": None, "architecture": None, "training": None}, {}),
        ({"learning": {"mode": None}, "architecture": {"type": None, "hidden": None}}, {}),
        ({"training": {"epochs": None, "seed": 3}}, {"training": {"seed": 3}}),
        (
            {"learning": {"mode": "progressive", "growth": None}, "training": {"epochs": None, "schedule": None}},
            {"learning": {"mode": "progressive"}},
        ),
        ({"architecture": {"type": "cnn", "channels": None}}, {"architecture": {"type": "cnn"}}),
    ],
)
def test_null_means_left_out(nulls: dict[str, Any], rest: dict[str, Any]) -> None:
    assert asked(**nulls) == asked(**rest)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"no_such": None, "dataset": "mnist"}, ["/no_such"]),
        ({"architecture": {"hidden": [None]}}, ["/architecture/hidden/0"]),
        (
            {"name": None, "training": {"seed": None, "learning_rate": float("inf")}},
            ["/name", "/training/learning_rate"],
        ),
    ],
)
def test_a_null_that_stands_for_nothing_is_a_fault(body: dict[str, Any], pointers: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(**body)
    assert [fault.pointer for fault in caught.value.errors] == pointers


def test_the_widths_of_a_mode_belong_to_its_own_architecture() -> None:
    by_task = {"mode": "progressive"}
    assert asked(learning=by_task, architecture={"type": "mlp"}).architecture == Mlp(hidden=(50, 50))
    assert asked(learning=by_task, architecture={"type": "mlp", "hidden": [7]}).architecture == Mlp(hidden=(7,))
    assert asked(learning=by_task, architecture={"type": "gru"}).architecture == Gru()
    assert asked(learning=by_task, architecture={"type": "cnn", "hidden": 9}).architecture == Cnn(hidden=9)


def test_a_client_sends_all_of_it_so_that_the_server_fills_nothing_in() -> None:
    body = ModelCreate(name="digits", dataset="mnist", learning=Progressive(tasks=((0, 1), (2,)), growth=(3, 3)))
    assert parse(ModelCreate, json.dumps(body.model_dump(mode="json")).encode()) == body
    assert body.training == TRAINING_OF_MODE["progressive"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"learning": {"mode": "synaptic_intelligence", "tasks": [[0], []]}}, "/learning/tasks/1"),
        ({"learning": {"mode": "synaptic_intelligence", "tasks": [[-1]]}}, "/learning/tasks/0/0"),
        ({"learning": {"mode": "synaptic_intelligence", "tasks": [["1"]]}}, "/learning/tasks/0/0"),
        ({"learning": {"mode": "synaptic_intelligence", "tasks": [0]}}, "/learning/tasks/0"),
        ({"learning": {"mode": "synaptic_intelligence", "xi": 0}}, "/learning/xi"),
        ({"learning": {"mode": "progressive", "growth": [0]}}, "/learning/growth/0"),
        ({"learning": {"mode": "standard", "tasks": [[0]]}}, "/learning/tasks"),
        ({"learning": {"mode": ["standard"]}}, "/learning"),
        ({"learning": {"tasks": [[0]]}}, "/learning/tasks"),
        ({"learning": []}, "/learning"),
        ({"learning": {"mode": "progressive"}, "training": {"epochs": 2.5}}, "/training/epochs"),
        ({"learning": {"mode": "progressive"}, "training": {"epoch": 2}}, "/training/epoch"),
        ({"learning": {"mode": "progressive"}, "training": 3}, "/training"),
        ({"architecture": {"hidden": [3], "channels": [4]}}, "/architecture/channels"),
        ({"architecture": {"type": "mlp", "hidden": [3.5]}}, "/architecture/hidden/0"),
    ],
)
def test_a_faulty_part_is_pointed_at_whatever_is_filled_in_beside_it(body: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(**body)
    assert caught.value.errors[0].pointer == pointer


@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b'"digits"'])
def test_what_is_no_object_is_no_model(content: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(ModelCreate, content)
    assert [fault.pointer for fault in caught.value.errors] == [""]


def test_changes_may_name_every_part_of_a_training_and_nothing_else() -> None:
    assert list(TrainingChanges.model_fields) == [field.name for field in fields(Training)]


def test_a_whole_training_may_stand_for_changes() -> None:
    changes = TrainRequest(training=Training(epochs=3)).training
    assert changes is not None
    assert changes.model_dump() == asdict(Training(epochs=3))


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"tasks": []}, "/tasks"),
        ({"tasks": [[]]}, "/tasks/0"),
        ({"tasks": [[8, 9]], "from_scratch": True}, ""),
        ({"tasks": [[8, 9]], "classes": [8]}, ""),
        ({"training": {"epochs": 0}}, "/training/epochs"),
        ({"training": {"optimiser": "adam"}}, "/training/optimiser"),
    ],
)
def test_further_tasks_stand_alone_and_are_not_empty(body: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(TrainRequest, json.dumps(body).encode())
    assert [fault.pointer for fault in caught.value.errors] == [pointer]


def test_tasks_are_taken_as_they_stand() -> None:
    learning = asked(learning={"mode": "synaptic_intelligence", "tasks": [[3, 1], [2]], "c": 1}).learning
    assert learning == SynapticIntelligence(tasks=((3, 1), (2,)), c=1.0)


def wanted(**body: Any) -> ForgetCreate:
    return parse(ForgetCreate, json.dumps({"target": {"classes": [2]}} | body).encode())


@pytest.mark.parametrize(
    ("body", "method", "refusal", "reference", "strategy"),
    [
        ({}, "edit", "push", "none", "zero"),
        ({"target": {"tasks": [1]}}, "edit", "push", "none", "zero"),
        ({"target": {"samples": [1]}}, "auto", "none", "wait", None),
        ({"method": "euk"}, "euk", "calibrate", "wait", None),
        ({"method": "retrain"}, "retrain", "calibrate", "none", None),
        ({"method": "auto"}, "auto", "calibrate", "wait", None),
    ],
)
def test_what_a_forget_request_leaves_out_follows_from_target_and_method(
    body: dict[str, Any], method: str, refusal: str, reference: str, strategy: str | None
) -> None:
    filled = wanted(**body)
    assert (filled.method, filled.refusal, filled.reference, filled.strategy) == (method, refusal, reference, strategy)
    assert filled.guard is None
    assert parse(ForgetCreate, filled.model_dump_json().encode()) == filled


@pytest.mark.parametrize("method", ["auto", "edit", *METHOD_SPECS])
def test_the_parameters_are_those_of_the_method(method: Any) -> None:
    filled = wanted(method=method, parameters={"utility_budget": 0.5})
    assert type(filled.parameters) is parameters_of(method)
    assert filled.parameters.utility_budget == 0.5
    assert parse(ForgetCreate, filled.model_dump_json().encode()) == filled


def test_the_refusal_guard_has_parameters_and_no_other_has() -> None:
    assert wanted(refusal="guard").guard == GuardParameters()
    assert wanted(refusal="guard", guard={"hidden": 8}).guard == GuardParameters(hidden=8)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"method": "euk", "strategy": "zero", "scope": "output"}, ["/strategy", "/scope"]),
        ({"method": "auto", "scope": "output"}, ["/scope"]),
        ({"strategy": "none"}, ["/strategy"]),
        ({"guard": {}}, ["/guard"]),
        ({"refusal": "guard", "guard": {"steps": 0}}, ["/guard/steps"]),
        ({"method": "euk", "parameters": {"layers": 0, "share": 0.1}}, ["/parameters/layers", "/parameters/share"]),
        ({"method": "retrain", "parameters": {"training": {"epochs": 0}}}, ["/parameters/training/epochs"]),
        ({"method": "auto", "parameters": {"layers": 1}}, ["/parameters/layers"]),
        ({"parameters": {"push_steps": "9"}}, ["/parameters/push_steps"]),
        ({"parameters": []}, ["/parameters"]),
        ({"method": "erase"}, ["/method"]),
        ({"max_seconds": 3}, ["/max_seconds"]),
        ({"method": "auto", "max_seconds": 0}, ["/max_seconds"]),
        ({"num_references": 11}, ["/num_references"]),
        ({"min_claim": "proven"}, ["/min_claim"]),
        ({"reference": "soon"}, ["/reference"]),
        ({"target": {"samples": []}}, ["/target/samples"]),
        ({"target": {"samples": list(range(100_001))}}, ["/target/samples"]),
        ({"target": {"samples": [-1]}}, ["/target/samples/0"]),
        ({"target": {"samples": [1], "classes": [1]}}, ["/target"]),
    ],
)
def test_a_faulty_part_of_a_forget_request_is_pointed_at(body: dict[str, Any], pointers: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        wanted(**body)
    assert [fault.pointer for fault in caught.value.errors] == pointers


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ForgetTarget, {"classes": [1, 2, 1]}),
        (ForgetTarget, {"tasks": [0, 0]}),
        (TrainRequest, {"classes": [0, 0, 1]}),
        (TrainRequest, {"tasks": [[8, 9], [7, 7]]}),
    ],
)
def test_whatever_is_named_in_a_list_is_named_once(kind: type[BaseModel], body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="name each once"):
        kind.model_validate(body)
