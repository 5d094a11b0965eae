"""`forgettery forget`: what its options send, what is refused before anything is sent, and how a failure is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.api.examples import COMPLETED_FORGET_REQUEST, FORGET_PLAN, FORGET_REQUEST, VERIFICATION
from app.cli import app
from app.errors import GateMissed, InvalidInput
from tests.unit.recorder import NOBODY, Recorder, event_of, refused, run, sent
from tests.unit.terminal import interrupted

FORGET = "/v1/models/digits/forget"
COMPLETED: dict[str, Any] = COMPLETED_FORGET_REQUEST
JOB: dict[str, Any] = COMPLETED["job"]
EXAMINED: dict[str, Any] = VERIFICATION["report"]


def asked(recorder: Recorder, *options: str) -> dict[str, Any]:
    """The body that is sent, without what is null."""
    request = sent(recorder, "forget", "digits", *options)
    assert (request.method, request.path) == ("POST", FORGET)
    return {name: value for name, value in request.body.items() if value is not None}


def target_of(recorder: Recorder, *options: str) -> dict[str, list[int]]:
    return {kind: wanted for kind, wanted in asked(recorder, *options)["target"].items() if wanted is not None}


def not_sent(*options: str) -> InvalidInput:
    """Why nothing was asked of anybody."""
    result = CliRunner().invoke(app, ["forget", "digits", *options, "--url", NOBODY])
    assert isinstance(result.exception, InvalidInput), result.output
    return result.exception


def test_samples_come_from_options_and_from_a_file_and_let_the_server_choose(
    recorder: Recorder, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.txt"
    rows.write_text("4711\n\n 17 \n")
    assert target_of(recorder, "--sample", "3", "--sample", "5") == {"samples": [3, 5]}
    assert target_of(recorder, "--samples-file", str(rows)) == {"samples": [4711, 17]}
    assert target_of(recorder, "--sample", "3", "--samples-file", str(rows)) == {"samples": [3, 4711, 17]}
    body = asked(recorder, "--sample", "3")
    assert (body["method"], body["refusal"], body["reference"]) == ("auto", "none", "wait")
    assert "strategy" not in body


@pytest.mark.parametrize("content", [b"1\ntwo\n", b"1,2", b"1.5", b"\xff\xfe1"])
def test_a_file_of_anything_but_row_numbers_is_named_and_nothing_is_sent(content: bytes, tmp_path: Path) -> None:
    rows = tmp_path / "rows.txt"
    rows.write_bytes(content)
    assert f"{rows} cannot be read as row numbers" in not_sent("--samples-file", str(rows)).detail


def test_a_file_of_samples_that_is_missing_or_empty_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n\n")
    assert "--samples-file" in refused("forget", "digits", "--samples-file", str(tmp_path / "none"))
    assert "--samples-file" in refused("forget", "digits", "--samples-file", str(tmp_path))
    assert "name what to forget" in refused("forget", "digits", "--samples-file", str(tmp_path / "empty"))


def test_a_method_is_sent_with_its_parameters_and_the_retrained_models_to_compare_with(recorder: Recorder) -> None:
    body = asked(
        recorder,
        *("--class", "2", "--method", "euk", "--parameters", '{"layers": 2}', "--refusal", "calibrate"),
        *("--reference", "cached", "--num-references", "3", "--min-claim", "approximate", "--seed", "7"),
    )
    assert (body["method"], body["refusal"], body["seed"]) == ("euk", "calibrate", 7)
    assert body["parameters"]["layers"] == 2
    assert (body["reference"], body["num_references"], body["min_claim"]) == ("cached", 3, "approximate")
    assert "strategy" not in body
    assert "guard" not in body


def test_a_guard_is_sent_with_the_parameters_that_were_given_and_the_defaults_of_the_others(
    recorder: Recorder,
) -> None:
    body = asked(recorder, "--class", "2", "--refusal", "guard", "--guard", '{"hidden": 8, "steps": 100}')
    assert body["refusal"] == "guard"
    assert (body["guard"]["hidden"], body["guard"]["steps"], body["guard"]["batch_size"]) == (8, 100, 128)
    assert asked(recorder, "--class", "2", "--refusal", "guard")["guard"]["hidden"] == 64


def test_a_time_limit_goes_with_the_choice_of_a_method(recorder: Recorder) -> None:
    body = asked(recorder, "--class", "2", "--method", "auto", "--max-seconds", "2.5")
    assert (body["method"], body["max_seconds"]) == ("auto", 2.5)


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        (["--method", "nonsense"], "/method"),
        (["--method", "euk", "--strategy", "zero"], "/strategy"),
        (["--method", "euk", "--parameters", '{"share": 0.1}'], "/parameters/share"),
        (["--max-seconds", "2"], "/max_seconds"),
        (["--method", "auto", "--max-seconds", "0"], "/max_seconds"),
        (["--guard", '{"hidden": 8}'], "/guard"),
        (["--refusal", "guard", "--guard", '{"hidden": 0}'], "/guard/hidden"),
        (["--refusal", "guard", "--guard", '{"width": 8}'], "/guard/width"),
        (["--num-references", "11"], "/num_references"),
        (["--sample", "17"], "/target"),
    ],
)
def test_what_does_not_go_together_is_named_by_its_place(options: list[str], pointer: str) -> None:
    assert pointer in [fault.pointer for fault in not_sent("--class", "2", *options).errors]


@pytest.mark.parametrize("value", ["{", "[]", "8"])
def test_a_guard_that_is_no_json_object_is_refused(value: str) -> None:
    assert "--guard" in not_sent("--class", "2", "--refusal", "guard", "--guard", value).detail


@pytest.mark.parametrize("option", ["--reference", "--min-claim", "--refusal"])
def test_a_choice_that_there_is_not_is_wrong_usage(option: str) -> None:
    assert option in refused("forget", "digits", "--class", "2", option, "nonsense")


def test_a_dry_run_shows_the_candidates_and_why_one_was_chosen(recorder: Recorder) -> None:
    recorder.answers[f"POST {FORGET}"] = FORGET_PLAN
    result = run(recorder, "forget", "digits", "--class", "2", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "It was asked for by name." in result.stdout
    assert "This method forgets samples, not classes." in result.stdout
    assert recorder.asked[-1].body["dry_run"] is True


def ended(recorder: Recorder, **changes: Any) -> None:
    """Let the request end this way."""
    request = COMPLETED | changes
    job = request["job"] | {"status": "succeeded"}
    recorder.answers[f"POST {FORGET}"] = FORGET_REQUEST
    recorder.answers[f"GET /v1/jobs/{job['id']}/events"] = event_of(job)
    recorder.answers[f"GET /v1/forget-requests/{request['id']}"] = request | {"job": job}


def test_a_request_that_passed_is_shown_with_its_claim(recorder: Recorder) -> None:
    ended(recorder)
    result = run(recorder, "forget", "digits", "--class", "2")
    assert result.exit_code == 0, result.output
    assert "verdict passed, claim edited, version 2" in result.stdout


def test_a_request_that_failed_names_what_was_missed_and_what_serves_on(recorder: Recorder) -> None:
    job = JOB | {"result": {"version": None, "verdict": "failed", "missed": ["min_claim"]}}
    ended(recorder, status="failed", verdict="failed", claim=None, version=None, job=job)
    result = run(recorder, "forget", "digits", "--class", "2", "--min-claim", "edited")
    assert isinstance(result.exception, GateMissed)
    assert result.exception.detail == "missed: min_claim; version 1 serves on"
    assert "verdict failed, claim none, version none" in result.stdout


def test_a_file_of_samples_may_begin_with_a_byte_order_mark(recorder: Recorder, tmp_path: Path) -> None:
    rows = tmp_path / "rows.txt"
    rows.write_bytes(b"\xef\xbb\xbf4711\r\n17\r\n")
    assert target_of(recorder, "--samples-file", str(rows)) == {"samples": [4711, 17]}


def test_a_dry_run_is_a_table_of_the_plan_and_of_the_methods(recorder: Recorder) -> None:
    recorder.answers[f"POST {FORGET}"] = FORGET_PLAN | {"warnings": ["It may refuse too much."]}
    lines = run(recorder, "forget", "digits", "--class", "2", "--dry-run").stdout.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.split()}
    assert rows["target"] == ["classes", "2"]
    assert rows["expected_seconds"] == ["2.5000"]
    assert rows["edit"] == ["edited", "2.5000", "True"]
    assert rows["sisa"][:3] == ["edited", "-", "False"]
    assert "Warning: It may refuse too much." in lines


def test_auto_says_what_it_chose_and_why_before_it_waits(recorder: Recorder) -> None:
    ended(recorder)
    recorder.answers[f"POST {FORGET}"] = FORGET_REQUEST | FORGET_PLAN | {"why": "It stands first."}
    result = run(recorder, "forget", "digits", "--class", "2", "--method", "auto")
    assert result.exit_code == 0, result.output
    assert "auto chooses edit: It stands first." in result.stderr
    assert [asked.body["dry_run"] for asked in recorder.asked if asked.path == FORGET] == [True, False]


def test_after_a_miss_the_next_method_in_the_order_is_named(recorder: Recorder) -> None:
    ended(recorder, status="failed", verdict="failed", claim=None, version=None)
    candidates: list[dict[str, Any]] = FORGET_PLAN["candidates"]
    plan = FORGET_PLAN | {"candidates": [*candidates, candidates[0] | {"method": "scrub"}]}
    recorder.answers[f"POST {FORGET}"] = FORGET_REQUEST | plan
    result = run(recorder, "forget", "digits", "--class", "2", "--method", "auto")
    assert isinstance(result.exception, GateMissed)
    assert "repeat with --method scrub" in result.stderr
    assert "forgettery compare digits" in result.stderr


@pytest.mark.parametrize("command", [["forget", "digits", "--class", "2"], ["jobs", "watch", JOB["id"]]])
def test_who_stops_waiting_is_told_that_the_job_goes_on_and_how_to_watch_and_cancel_it(
    recorder: Recorder, command: list[str]
) -> None:
    running: dict[str, Any] = JOB | {"id": JOB["id"], "status": "running"}
    recorder.answers |= {
        f"POST {FORGET}": FORGET_REQUEST | {"job": running},
        f"GET /v1/jobs/{JOB['id']}/events": event_of(running),
        f"GET /v1/jobs/{JOB['id']}": running,
    }
    asked = len(command) > 3  # forgetting asks once more
    code, said = interrupted(recorder, *command, when=lambda: len(recorder.asked) > 2 + asked)
    assert code == 130
    assert f"job {JOB['id']} goes on" in said
    assert f"forgettery jobs watch {JOB['id']} --url {recorder.url}" in said
    assert f"forgettery jobs cancel {JOB['id']} --url {recorder.url}" in said
    assert "Traceback" not in said
    assert not [asked for asked in recorder.asked if asked.path.endswith("/cancel")]


def test_what_was_sought_and_why_less_was_claimed_is_said_in_a_line(recorder: Recorder) -> None:
    missed: list[dict[str, Any]] = [
        {"name": name, "detail": "It did not hold.", "figures": []} for name in ("probe", "nearer")
    ]
    report = COMPLETED["report"] | {"forget_accuracy_before_refusal": 0.4521, "left_by_method": True}
    told = COMPLETED | {"sought": "approximate", "claim": "edited", "missed_for_sought": missed, "report": report}
    recorder.answers[f"GET /v1/forget-requests/{COMPLETED['id']}"] = told
    result = run(recorder, "forget-requests", "show", str(COMPLETED["id"]))
    assert "sought approximate, got edited: probe, nearer" in result.stdout
    assert "before refusal: 0.4521 (more than may be left)" in result.stdout


def test_what_a_probe_finds_is_said_beside_what_it_found_before_and_finds_in_retrained_models(
    recorder: Recorder,
) -> None:
    figure = EXAMINED["criteria"][0]["measurements"][0]
    probe = figure | {"metric": "probe-recall", "value": 0.91, "original": 0.97, "retrained": {"1": 0.88, "2": 0.9}}
    criterion = EXAMINED["criteria"][0] | {"name": "probe", "measurements": [probe]}
    verification = EXAMINED | {"criteria": [criterion]}
    report = COMPLETED["report"] | {"verification": verification}
    recorder.answers[f"GET /v1/forget-requests/{COMPLETED['id']}"] = COMPLETED | {"report": report}
    result = run(recorder, "forget-requests", "show", str(COMPLETED["id"]))
    assert "linear probe of the features: 0.9100, before 0.9700, retrained models 0.8900" in result.stdout
