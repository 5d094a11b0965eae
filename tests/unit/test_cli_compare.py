"""`forgettery compare`: what it sends, the table and the plot, and what is refused before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.api.examples import COMPARE_JOB
from app.cli import app
from app.contract.problems import problem_of
from app.errors import ClassNotFound, InvalidInput
from tests.unit.recorder import NOBODY, Recorder, event_of, refused, run, sent
from tests.unit.terminal import on_terminal

JOB: dict[str, Any] = COMPARE_JOB
FIGURES: dict[str, float | None] = {
    "forget_accuracy": 0.125,
    "forget_accuracy_before_refusal": 0.45,
    "retain_accuracy": 0.991,
    "test_accuracy": 0.978,
    "refusal_rate": None,
    "false_refusal_rate": 0.003,
    "probe_gap": 0.021,
    "mia_gap": 0.011,
    "seconds": 3.5,
    "cpu_seconds": 2.25,
    "ratio_to_retraining": 0.25,
}
NOTHING: dict[str, None] = dict.fromkeys(FIGURES)
ROW: dict[str, Any] = {"parameters": {}, "refusal": "none", "problem": None}
FAILED = {"verdict": None, "claim": None, "problem": problem_of(ClassNotFound("euk stumbled")).model_dump(mode="json")}
COMPARISON: dict[str, Any] = {
    "target": {"classes": [2]},
    "num_samples": 0,
    "version": 1,
    "rows": [
        FIGURES | ROW | {"method": "finetune", "verdict": "passed", "claim": "edited"},
        NOTHING | ROW | {"method": "euk"} | FAILED,
    ],
    "original": FIGURES | {"forget_accuracy": 0.999},
    "retrained": FIGURES | {"forget_accuracy": 0.0},
}
PICTURE = b"<svg>a picture</svg>"


@pytest.fixture
def compared(recorder: Recorder) -> Recorder:
    """A server whose comparison has ended."""
    job = JOB | {"status": "succeeded", "result": COMPARISON}
    recorder.answers |= {
        "POST /v1/models/digits/compare": JOB,
        f"GET /v1/jobs/{job['id']}/events": event_of(job),
        f"GET /v1/jobs/{job['id']}": job,
        f"GET /v1/jobs/{job['id']}/plot.svg": PICTURE,
        f"GET /v1/jobs/{job['id']}/plot.png": PICTURE,
    }
    return recorder


def test_target_methods_and_what_is_the_same_for_all_are_sent(recorder: Recorder) -> None:
    path, _, body, _ = sent(
        recorder,
        *("compare", "digits", "--sample", "17", "--sample", "4711", "--method", "euk", "--method", "scrub"),
        *("--refusal", "none", "--references", "2", "--seed", "5"),
    )
    assert path == "/v1/models/digits/compare"
    assert body["target"]["samples"] == [17, 4711]
    assert body["methods"] == [{"method": "euk", "parameters": {}}, {"method": "scrub", "parameters": {}}]
    assert (body["refusal"], body["num_references"], body["seed"]) == ("none", 2, 5)


def test_methods_left_out_are_all_that_apply(recorder: Recorder) -> None:
    body = sent(recorder, "compare", "digits", "--task", "1", "--class", "3").body
    assert (body["methods"], body["refusal"], body["num_references"]) == (None, None, 3)
    assert (body["target"]["tasks"], body["target"]["classes"]) == ([1], [3])


def test_the_table_shows_the_original_the_retrained_and_every_method_and_why_one_failed(compared: Recorder) -> None:
    result = run(compared, "compare", "digits", "--class", "2")
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.split()}
    assert rows["original"][0] == "0.999"
    assert rows["retrained"][0] == "0.000"
    assert rows["finetune"] == [
        "0.125",
        "0.450",
        "0.991",
        "0.978",
        "-",
        "0.003",
        "0.021",
        "0.011",
        "3.500",
        "2.250",
        "0.250",
        "passed",
        "edited",
    ]
    assert rows["euk"] == ["-"] * 11 + ["error", "-"]
    assert "euk: euk stumbled" in result.stdout


@pytest.mark.parametrize(("cpu_seconds", "title"), [(2.25, "of retraining "), (None, "of retraining, wall")])
def test_of_an_earlier_release_the_ratio_is_said_to_be_one_of_wall_seconds(
    compared: Recorder, cpu_seconds: float | None, title: str
) -> None:
    figures = {name: value for name, value in FIGURES.items() if name != "cpu_seconds"}
    told = {} if cpu_seconds is None else {"cpu_seconds": cpu_seconds}
    result = COMPARISON | {"original": figures, "retrained": figures | told}
    job = JOB | {"status": "succeeded", "result": result}
    compared.answers |= {f"GET /v1/jobs/{job['id']}": job, f"GET /v1/jobs/{job['id']}/events": event_of(job)}
    shown = run(compared, "compare", "digits", "--class", "2")
    assert shown.exit_code == 0, shown.output
    assert title in shown.stdout


def test_json_is_the_comparison_as_the_server_gave_it(compared: Recorder) -> None:
    result = run(compared, "compare", "digits", "--class", "2", "--json")
    printed = json.loads(result.stdout)
    assert printed["rows"][0] == COMPARISON["rows"][0]
    assert printed["rows"][1]["problem"]["detail"] == "euk stumbled"


@pytest.mark.parametrize("name", ["plot.svg", "plot.png"])
def test_the_plot_is_written_as_the_ending_of_its_name_says(compared: Recorder, tmp_path: Path, name: str) -> None:
    result = run(compared, "compare", "digits", "--class", "2", "--plot", str(tmp_path / name))
    assert result.exit_code == 0, result.output
    assert (tmp_path / name).read_bytes() == PICTURE
    assert f"wrote {tmp_path / name}" in result.stderr
    assert compared.asked[-1].path == f"/v1/jobs/{JOB['id']}/{name}"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "name what to forget"),
        (["--class", "2", "--plot", "plot.pdf"], "--plot"),
        (["--class", "2", "--references", "6"], "--references"),
        (["--class", "2", "--refusal", "nonsense"], "--refusal"),
    ],
)
def test_options_that_make_no_comparison_are_wrong_usage(options: list[str], says: str) -> None:
    assert says in refused("compare", "digits", *options)


@pytest.mark.parametrize(
    ("options", "pointer"),
    [(["--method", "auto"], "/methods/0/method"), (["--sample", "17"], "/target")],
)
def test_what_cannot_be_compared_is_named_by_its_place(options: list[str], pointer: str) -> None:
    result = CliRunner().invoke(app, ["compare", "digits", "--class", "2", *options, "--url", NOBODY])
    assert isinstance(result.exception, InvalidInput), result.output
    assert any(fault.pointer.startswith(pointer) for fault in result.exception.errors)


def test_a_narrow_terminal_folds_no_figure(compared: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = run(compared, "compare", "digits", "--class", "2").stdout.splitlines()
    heading = next(line for line in lines if "of retraining" in line)
    assert heading.split()[0] == "method"
    assert heading.split()[-1] == "claim"


def test_parameters_go_with_the_methods_they_are_of(recorder: Recorder) -> None:
    options = ("--method", "euk", "--method", "scrub", "--parameters", '{"euk": {"layers": 2}}')
    body = sent(recorder, "compare", "digits", "--class", "2", *options).body
    assert body["methods"] == [{"method": "euk", "parameters": {"layers": 2}}, {"method": "scrub", "parameters": {}}]


def test_parameters_of_a_method_that_is_not_compared_are_wrong_usage() -> None:
    said = refused("compare", "digits", "--class", "2", "--method", "scrub", "--parameters", '{"euk": {"layers": 2}}')
    assert "euk" in said


def test_samples_come_from_a_file_too(recorder: Recorder, tmp_path: Path) -> None:
    rows = tmp_path / "rows.txt"
    rows.write_text("\ufeff4711\n17\n", "utf-8")
    body = sent(recorder, "compare", "digits", "--sample", "3", "--samples-file", str(rows)).body
    assert body["target"]["samples"] == [3, 4711, 17]


def test_who_does_not_wait_is_told_how_to_follow_the_job(compared: Recorder) -> None:
    result = run(compared, "compare", "digits", "--class", "2", "--no-wait")
    assert result.exit_code == 0, result.output
    assert [asked.method for asked in compared.asked] == ["POST"]
    assert f"forgettery jobs watch {JOB['id']}" in result.stderr
    assert JOB["id"] in result.stdout


def test_a_plot_cannot_be_had_without_waiting(tmp_path: Path) -> None:
    assert "--no-wait" in refused("compare", "digits", "--class", "2", "--no-wait", "--plot", str(tmp_path / "a.svg"))


def test_a_terminal_of_80_columns_cuts_no_figure(compared: Recorder) -> None:
    lines = on_terminal(compared, "compare", "digits", "--class", "2")
    assert max(map(len, lines)) <= 80
    figures = [word for line in lines if line.startswith("finetune") for word in line.split()]
    shown = [f"{value:.3f}" for value in FIGURES.values() if value is not None]
    assert [figure for figure in figures if figure[0].isdigit()] == shown
    assert "passed" in figures
