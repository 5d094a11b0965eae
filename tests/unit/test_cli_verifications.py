"""Verifications and guards on the command line: what is sent, and what is shown of the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.api.examples import QUEUED_VERIFICATION, UNGUARDED_VERSION, VERIFICATION
from tests.unit.recorder import Recorder, event_of, page_of, refused, run, sent

ENDED: dict[str, Any] = VERIFICATION
VERIFY = "/v1/models/digits/versions/2/verify"
REQUEST_ID = str(ENDED["forget_request"])


@pytest.fixture
def verified(recorder: Recorder) -> Recorder:
    """A server whose verification has ended."""
    recorder.answers |= {
        f"POST {VERIFY}": QUEUED_VERIFICATION,
        f"GET /v1/jobs/{ENDED['job']['id']}/events": event_of(ENDED["job"]),
        f"GET /v1/verifications/{ENDED['id']}": ENDED,
        "GET /v1/verifications": page_of(ENDED, QUEUED_VERIFICATION),
    }
    return recorder


def test_what_is_to_be_verified_and_how_deeply_is_sent(recorder: Recorder) -> None:
    request = sent(
        recorder,
        *("versions", "verify", "digits", "2", "--depth", "fast", "--num-references", "3", "--reference", "cached"),
        *("--forget-request", REQUEST_ID, "--seed", "5", "--repeat"),
    )
    assert request.path == VERIFY
    assert request.body == {
        "depth": "fast",
        "num_references": 3,
        "reference": "cached",
        "forget_request": REQUEST_ID,
        "repeat": True,
        "seed": 5,
    }


def test_without_options_a_version_is_verified_deeply_beside_three_retrained_models(recorder: Recorder) -> None:
    body = sent(recorder, "versions", "verify", "digits", "2").body
    assert (body["depth"], body["num_references"], body["reference"]) == ("deep", 3, "wait")
    assert (body["forget_request"], body["repeat"]) == (None, False)


def test_a_verification_is_waited_for_and_its_criteria_control_and_limits_are_shown(verified: Recorder) -> None:
    result = run(verified, "versions", "verify", "digits", "2")
    assert result.exit_code == 0, result.output
    report = ENDED["report"]
    assert "of digits, version 2: completed" in result.stdout
    assert f"{report['depth']}: verdict {report['verdict']}" in result.stdout
    assert all(each["name"] in result.stdout for each in report["criteria"])
    assert "the original fails" in result.stdout
    assert all(sentence[:40] in result.stdout for sentence in report["does_not_prove"])


@pytest.mark.parametrize(
    ("repetition", "says"),
    [
        ({"equal": True, "digest": "ab", "why_not": None}, "repeated: the same weights, bit by bit"),
        ({"equal": False, "digest": "ab", "why_not": None}, "repeated: OTHER WEIGHTS than those of the version"),
        (
            {"equal": None, "digest": None, "why_not": "The version is elsewhere."},
            "not repeated: The version is elsewhere.",
        ),
    ],
)
def test_what_came_of_a_repetition_is_said_in_a_line(verified: Recorder, repetition: dict[str, Any], says: str) -> None:
    report = ENDED["report"] | {"repetition": repetition}
    verified.answers[f"GET /v1/verifications/{ENDED['id']}"] = ENDED | {"report": report}
    assert says in run(verified, "versions", "verify", "digits", "2", "--repeat").stdout.splitlines()


def test_without_waiting_it_says_how_to_follow_the_job(verified: Recorder) -> None:
    result = run(verified, "versions", "verify", "digits", "2", "--no-wait")
    assert f"forgettery jobs watch {ENDED['job']['id']}" in result.stdout
    assert [asked.path for asked in verified.asked] == [VERIFY]


def test_verifications_are_listed_by_their_filters(verified: Recorder) -> None:
    filters = ["--model", "digits", "--version", "2", "--depth", "deep", "--forget-request", REQUEST_ID]
    result = run(verified, "verifications", "list", *filters)
    assert verified.asked[-1].query == {
        "model": "digits",
        "version": "2",
        "depth": "deep",
        "forget_request": REQUEST_ID,
    }
    lines = [line for line in result.stdout.splitlines() if " digits " in line]
    assert [("completed" in line, "queued" in line) for line in lines] == [(False, True), (True, False)]  # newest first


def test_one_verification_is_shown_and_is_the_servers_own_as_json(verified: Recorder) -> None:
    shown = run(verified, "verifications", "show", ENDED["id"]).stdout
    assert "What this does not prove" in shown
    printed = json.loads(run(verified, "verifications", "show", ENDED["id"], "--json").stdout)
    assert printed["report"] == ENDED["report"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["versions", "verify", "digits", "0"], "NUMBER"),
        (["versions", "verify", "digits", "2", "--depth", "bottomless"], "--depth"),
        (["versions", "verify", "digits", "2", "--num-references", "11"], "--num-references"),
        (["versions", "verify", "digits", "2", "--forget-request", "the last"], "--forget-request"),
        (["verifications", "list", "--version", "0"], "--version"),
        (["verifications", "show", "the-last"], "VERIFICATION_ID"),
    ],
)
def test_what_cannot_be_verified_is_wrong_usage(arguments: list[str], says: str) -> None:
    assert says.lower() in refused(*arguments).lower()


def test_deleting_a_guard_shows_since_when_the_classifier_answers_alone(recorder: Recorder) -> None:
    recorder.answers["DELETE /v1/models/digits/versions/2/guard"] = UNGUARDED_VERSION
    result = run(recorder, "versions", "delete-guard", "digits", "2", "--yes")
    assert result.exit_code == 0, result.output
    assert "deleted_at" in result.stdout
    printed = json.loads(run(recorder, "versions", "delete-guard", "digits", "2", "--yes", "--json").stdout)
    assert printed["guard"]["classes"] == [2]


def test_a_guard_is_not_deleted_unless_that_is_confirmed(recorder: Recorder) -> None:
    result = run(recorder, "versions", "delete-guard", "digits", "2")
    assert (result.exit_code, recorder.asked) == (1, [])
