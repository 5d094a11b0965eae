"""Tasks on the command line: what is sent, what is refused before anything is sent, and the tables of figures."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.cli.reports import show_report, show_version, what_is_forgotten
from app.contract.forgetting import ForgetRequest
from app.contract.models import Forgotten
from app.contract.versions import Version
from app.errors import InvalidInput
from tests.unit.recorder import NOBODY, Recorder, refused, sent

PAIRS = ["--task", "0,1", "--task", "2,3"]
SEVEN = "docs/examples/seven.png"


def test_training_tasks_in_one_network_sends_tasks_and_strength_and_the_defaults_of_the_mode(
    recorder: Recorder,
) -> None:
    path, _, body, _ = sent(
        recorder,
        "train",
        "digits",
        "--mode",
        "synaptic_intelligence",
        *PAIRS,
        "--c",
        "0.5",
        "--xi",
        ".01",
        "--epochs",
        "3",
    )
    assert path == "/v1/models"
    assert body["learning"] == {"mode": "synaptic_intelligence", "tasks": [[0, 1], [2, 3]], "c": 0.5, "xi": 0.01}
    assert body["architecture"] == {"type": "mlp", "hidden": [50]}
    assert (body["training"]["epochs"], body["training"]["batch_size"]) == (3, 1000)


def test_a_strength_of_nothing_is_sent_as_such(recorder: Recorder) -> None:
    assert sent(recorder, "train", "digits", "--mode", "synaptic_intelligence", "--c", "0").body["learning"]["c"] == 0


@pytest.mark.parametrize("widths", [["--hidden", "30,20"], ["--hidden", "30", "--hidden", "20"]])
def test_training_a_growing_recurrent_network_sends_widths_and_growth(recorder: Recorder, widths: list[str]) -> None:
    body = sent(
        recorder,
        "train",
        "digits",
        "--mode",
        "progressive",
        "--architecture",
        "gru",
        *widths,
        *PAIRS,
        "--growth",
        "5,4",
    ).body
    assert body["architecture"] == {"type": "gru", "hidden": [30, 20]}
    assert body["learning"] == {"mode": "progressive", "tasks": [[0, 1], [2, 3]], "growth": [5, 4]}


def test_training_in_shards_sends_how_many_and_the_defaults_of_the_mode(recorder: Recorder) -> None:
    body = sent(recorder, "train", "digits", "--mode", "sisa", "--shards", "4", "--slices", "2").body
    assert body["learning"] == {"mode": "sisa", "shards": 4, "slices": 2}
    assert (body["architecture"], body["training"]["epochs"]) == ({"type": "mlp", "hidden": [128]}, 5)
    assert "takes no --shards" in refused("train", "digits", "--shards", "4")


def test_training_without_a_mode_is_what_it_was(recorder: Recorder) -> None:
    body = sent(recorder, "train", "digits", "--hidden", "128").body
    assert (body["architecture"], body["learning"]) == ({"type": "mlp", "hidden": [128]}, {"mode": "standard"})


def test_training_further_sends_the_further_tasks_and_what_is_changed(recorder: Recorder) -> None:
    path, _, body, _ = sent(recorder, "train-further", "digits", "--task", "4,5", "--task", "8,9", "--epochs", "2")
    assert path == "/v1/models/digits/train"
    assert body["tasks"] == [[4, 5], [8, 9]]
    assert {name: value for name, value in body["training"].items() if value is not None} == {"epochs": 2}


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (["--task", "1"], {"tasks": [1]}),
        (["--task", "1", "--task", "3"], {"tasks": [1, 3]}),
        (["--task", "1", "--class", "3"], {"classes": [3], "tasks": [1]}),
        (["--class", "2", "--class", "4"], {"classes": [2, 4]}),
    ],
)
def test_forgetting_sends_tasks_parts_of_tasks_or_classes(
    recorder: Recorder, options: list[str], target: dict[str, list[int]]
) -> None:
    body = sent(recorder, "forget", "digits", *options).body
    assert {kind: wanted for kind, wanted in body["target"].items() if wanted is not None} == target


def test_predicting_names_the_task_in_the_query_of_an_image_and_in_a_json_body(
    recorder: Recorder, tmp_path: Any
) -> None:
    listed = tmp_path / "one.json"
    listed.write_text(json.dumps([[0.0] * 784]))
    assert sent(recorder, "predict", "digits", SEVEN, "--task", "3").query["task"] == "3"
    assert sent(recorder, "predict", "digits", str(listed), "--task", "0").body["task"] == 0
    assert "task" not in sent(recorder, "predict", "digits", SEVEN).query


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["forget", "digits"], "--class, --task, both for part of a task, or --sample"),
        (["train", "digits", *PAIRS], "--mode standard takes no --task"),
        (["train", "digits", "--mode", "progressive", "--c", "2"], "--mode progressive takes no --c"),
        (["train", "digits", "--mode", "synaptic_intelligence", "--growth", "5"], "takes no --growth"),
        (["train", "digits", "--mode", "progressive", "--task", "0;1"], '"0;1" is not one whole number'),
        (["train", "digits", "--mode", "elsewise"], "progressive"),
        (["forget", "digits", "--task", "first"], "--task"),
        (["demo", "--tasks", "--class", "3"], "leave --class out"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(arguments: list[str], says: str) -> None:
    assert says in refused(*arguments)


def test_what_no_task_can_be_is_named_by_its_place() -> None:
    result = CliRunner().invoke(app, ["train", "digits", "--mode", "progressive", "--task", "0,-1", "--url", NOBODY])
    assert isinstance(result.exception, InvalidInput)
    assert [fault.pointer for fault in result.exception.errors] == ["/learning/progressive/tasks/0/1"]


def test_what_is_forgotten_fits_a_cell() -> None:
    assert what_is_forgotten(Forgotten()) == "-"
    assert what_is_forgotten(Forgotten(classes=[5])) == "5"
    assert what_is_forgotten(Forgotten(classes=[2, 3, 5], tasks=[1])) == "2, 3, 5 (task 1)"
    assert what_is_forgotten(Forgotten(num_samples=17)) == "17 samples"
    assert what_is_forgotten(Forgotten(classes=[5], num_samples=17)) == "5; 17 samples"


def measured(accuracy: float | None, refusal: float | None) -> dict[str, Any]:
    figures = {"accuracy": accuracy, "retained_accuracy": None, "refusal_rate": refusal, "false_refusal_rate": None}
    return {"task": 1, "classes": [2, 3], **figures, **{f"{name}_without_task": 0.25 for name in figures}}


def metrics(**more: Any) -> dict[str, Any]:
    return {
        "test_accuracy": 0.9,
        "per_class_accuracy": [0.9, None],
        "confusion_matrix": [[1, 0, 0], [0, 1, 0]],
        "sparsity": 0.0,
        "num_parameters": 10,
        "training_seconds": 1.0,
        **more,
    }


def version(**more: Any) -> Version:
    return Version.model_validate(
        {
            "model": "digits",
            "number": 2,
            "state": "available",
            "serving": True,
            "origin": "trained",
            "parent": None,
            "digest": "sha256:0",
            "forgotten": {},
            "claim": None,
            "metrics": metrics(**more),
            "created_at": "2026-01-01T00:00:00Z",
            "forget_request": None,
            "manifest": {},
        }
    )


@pytest.fixture
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("_wide")
def test_a_version_shows_both_protocols_and_how_accuracy_went_from_task_to_task(
    capsys: pytest.CaptureFixture[str],
) -> None:
    matrix = [[0.9991, None], [0.9876, 0.9765]]
    show_version(
        version(tasks=[measured(0.9765, None)], accuracy_matrix=matrix, average_forgetting=0.0115), as_json=False
    )
    printed = capsys.readouterr().out
    assert "By task, the task named" in printed
    assert "By task, no task named" in printed
    assert "average_forgetting" in printed
    rows = [line.split() for line in printed[printed.index("(a row: after one more was learned)") :].splitlines()]
    assert ["1", "0.9991", "-"] in rows
    assert ["2", "0.9876", "0.9765"] in rows


@pytest.mark.usefixtures("_wide")
def test_a_version_without_tasks_shows_no_tables_of_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    show_version(version(), as_json=False)
    printed = capsys.readouterr().out
    assert "By class" in printed
    assert "By task" not in printed


@pytest.mark.usefixtures("_wide")
def test_a_forget_report_shows_every_task_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    sides: dict[str, Any] = {
        side: {
            **dict.fromkeys(("forget_accuracy", "retain_accuracy", "test_accuracy", "refusal_rate")),
            **dict.fromkeys(("false_refusal_rate", "raw_forget_accuracy", "raw_test_accuracy")),
            "per_class_accuracy": [],
            "confusion_matrix": [],
            "sparsity": 0.0,
            "refusal_by_class": {},
            "tasks": [found],
        }
        for side, found in {"before": measured(0.9, None), "after": measured(0.0, 1.0)}.items()
    }
    show_report(
        request_with({**sides, "weights_changed": {}, "gate": [], "settings": {}, "seconds": {}}), as_json=False
    )
    printed = capsys.readouterr().out
    assert "0.900 → 0.000" in printed
    assert "- → 1.000" in printed
    assert "0.250 → 0.250" in printed


def request_with(report: dict[str, Any]) -> ForgetRequest:
    job = {
        "id": str(UUID(int=1)),
        "kind": "forget",
        "status": "succeeded",
        "model": "digits",
        "progress": {"fraction": 1.0, "stage": "done", "message": ""},
        "attempts": 1,
        "result": None,
        "problem": None,
        "created_at": "2026-01-01T00:00:00Z",
        "started_at": None,
        "finished_at": None,
    }
    return ForgetRequest.model_validate(
        {
            "id": str(UUID(int=2)),
            "model": "digits",
            "target": {"tasks": [1], "classes": [2, 3]},
            "method": "edit",
            "requested_method": "edit",
            "strategy": "zero",
            "scope": "network",
            "refusal": "push",
            "reference": "none",
            "num_references": 1,
            "min_claim": None,
            "num_samples": 0,
            "verification": None,
            "status": "completed",
            "verdict": "passed",
            "claim": "edited",
            "parent_version": 1,
            "version": 2,
            "report": report,
            "reason": None,
            "received_at": "2026-01-01T00:00:00Z",
            "completed_at": None,
            "job": job,
        }
    )
