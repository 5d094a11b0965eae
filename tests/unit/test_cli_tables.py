"""What lists and reports look like: on a terminal, in a pipe, and by which part of an id things are found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from app.api.examples import (
    API_KEY,
    AUDIT_EVENT,
    COMPLETED_FORGET_REQUEST,
    FORGET_PLAN,
    JOB,
    METHOD,
    MODEL,
    VERIFICATION,
    VERSION,
)
from app.cli import app
from app.errors import InvalidInput, NotFound
from tests.unit.recorder import Recorder, page_of, refused, run
from tests.unit.terminal import on_terminal

EARLIER = "aaaa1111-0000-4000-8000-000000000001"
LATER = "aaaa2222-0000-4000-8000-000000000002"
LONGEST_WORD = 60
"""Letters that have room beside the first column of any table in 80 columns; digests have more."""
MOMENT = "2026-11-30T17:49:04.123456Z"
REQUEST: dict[str, Any] = COMPLETED_FORGET_REQUEST
LISTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "/v1/jobs": (JOB | {"created_at": MOMENT, "model": "handwritten-digits"}, ["jobs", "list"]),
    "/v1/forget-requests": (REQUEST | {"received_at": MOMENT}, ["forget-requests", "list"]),
    "/v1/verifications": (VERIFICATION, ["verifications", "list"]),
    "/v1/api-keys": (API_KEY, ["api-keys", "list"]),
}
OTHERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "/v1/models": (MODEL, ["models", "list"]),
    "/v1/models/digits/versions": (VERSION, ["versions", "list", "digits"]),
    "/v1/audit/events": (AUDIT_EVENT | {"model": "handwritten-digits"}, ["audit", "list"]),
    "/v1/methods": (METHOD, ["methods"]),
}

PLAN_OF_LONG_WORDS: dict[str, Any] = FORGET_PLAN | {
    "candidates": [{**each, "method": "neggrad_plus"} for each in FORGET_PLAN["candidates"]]
}


@pytest.fixture
def listed(recorder: Recorder) -> Recorder:
    """A server that has two of everything, the earlier first."""
    for path, (item, _) in LISTS.items():
        two = [item | {"id": EARLIER}, item | {"id": LATER}]
        recorder.answers[f"GET {path}"] = page_of(*two)
        recorder.answers |= {f"GET {path}/{each['id']}": each for each in two}
    for path, (item, _) in OTHERS.items():
        recorder.answers[f"GET {path}"] = page_of(item, item)
    return recorder


@pytest.mark.parametrize("command", [command for _, command in (LISTS | OTHERS).values()], ids=" ".join)
def test_a_terminal_of_80_columns_has_room_for_every_list(listed: Recorder, command: list[str]) -> None:
    lines = on_terminal(listed, *command)
    assert max(map(len, lines)) <= 80
    assert any(len(line) > 40 for line in lines)


@pytest.mark.parametrize("command", [command for _, command in LISTS.values()], ids=" ".join)
def test_ids_are_whole_on_a_terminal_and_in_a_pipe(listed: Recorder, command: list[str]) -> None:
    for lines in (on_terminal(listed, *command), run(listed, *command).stdout.splitlines()):
        assert any(line.startswith(EARLIER) for line in lines)
        assert any(line.startswith(LATER) for line in lines)


@pytest.mark.parametrize("command", [command for _, command in (LISTS | OTHERS).values()], ids=" ".join)
def test_a_pipe_gets_one_line_for_each_row_whatever_its_width(listed: Recorder, command: list[str]) -> None:
    printed = CliRunner().invoke(app, [*command, "--url", listed.url], env={"COLUMNS": "20"}).stdout
    assert len(printed.strip().splitlines()) == 4  # names, a line, two rows


@pytest.mark.parametrize("command", [command for _, command in LISTS.values()], ids=" ".join)
def test_what_happened_last_is_listed_first_and_json_keeps_the_servers_order(
    listed: Recorder, command: list[str]
) -> None:
    printed = run(listed, *command).stdout
    assert printed.index(LATER) < printed.index(EARLIER)
    assert [item["id"] for item in json.loads(run(listed, *command, "--json").stdout)] == [EARLIER, LATER]


def test_times_are_told_to_the_second(listed: Recorder) -> None:
    assert "2026-11-30 17:49:04Z" in run(listed, "jobs", "list").stdout
    assert "2026-11-30 17:49:04Z" in run(listed, "jobs", "show", EARLIER).stdout


def test_a_dry_run_and_a_report_fit_a_terminal(listed: Recorder) -> None:
    listed.answers["POST /v1/models/digits/forget"] = FORGET_PLAN
    for command in (["forget", "digits", "--class", "2", "--dry-run"], ["forget-requests", "show", EARLIER]):
        assert max(map(len, on_terminal(listed, *command))) <= 80


COMMANDS = [
    *(command for _, command in (LISTS | OTHERS).values()),
    ["forget", "digits", "--class", "2", "--dry-run"],
    ["forget-requests", "show", EARLIER],
    ["versions", "show", "digits", "2"],
    ["jobs", "show", EARLIER],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_terminal_cuts_no_word(listed: Recorder, command: list[str]) -> None:
    listed.answers["POST /v1/models/digits/forget"] = PLAN_OF_LONG_WORDS
    listed.answers["GET /v1/models/digits/versions"] = page_of(VERSION | {"state": "quarantined"}, VERSION)
    listed.answers["GET /v1/models/digits/versions/2"] = VERSION
    words = {word for line in run(listed, *command).stdout.splitlines() for word in line.split()}
    shown = on_terminal(listed, *command)
    assert max(map(len, shown)) <= 80
    there = {word for line in shown for word in line.split()}
    assert {word for word in words - there if len(word) <= LONGEST_WORD and word.strip("─")} == set()


def test_a_word_that_has_no_room_in_a_table_of_its_own_is_cut_and_nothing_is_lost(listed: Recorder) -> None:
    listed.answers["GET /v1/models/digits/versions/2"] = VERSION
    shown = on_terminal(listed, "versions", "show", "digits", "2")
    values = shown[0].index("digits")
    assert max(map(len, shown)) <= 80
    assert str(VERSION["digest"]) in "".join(line[values:].strip() for line in shown)


@pytest.mark.parametrize("kind", ["jobs", "forget-requests", "verifications"])
def test_the_beginning_of_an_id_is_enough(listed: Recorder, kind: str) -> None:
    result = run(listed, kind, "show", "AAAA2", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["id"] == LATER


def test_the_beginning_of_an_id_is_enough_wherever_one_is_asked_for(listed: Recorder) -> None:
    listed.answers |= {
        f"POST /v1/jobs/{LATER}/cancel": JOB,
        f"DELETE /v1/api-keys/{LATER}": {},
    }
    assert run(listed, "jobs", "cancel", "aaaa2").exit_code == 0
    assert run(listed, "api-keys", "revoke", "aaaa2").exit_code == 0
    for command in (["audit", "list"], ["verifications", "list"]):
        run(listed, *command, "--forget-request", "aaaa2")
        assert listed.asked[-1].query["forget_request"] == LATER


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ("aaaa", InvalidInput, "2 ids of a job begin with aaaa"),
        ("b", NotFound, "no id of a job"),
    ],
)
def test_the_beginning_of_several_ids_or_of_none_is_refused(
    listed: Recorder, given: str, kind: type[Exception], says: str
) -> None:
    result = run(listed, "jobs", "show", given)
    assert isinstance(result.exception, kind), result.output
    assert says in str(result.exception)


@pytest.mark.parametrize("given", ["", "nonsense", "aaaa1111-0000-4000-8000-0000000000012"])
def test_what_no_id_begins_with_is_wrong_usage(given: str) -> None:
    assert "JOB_ID" in refused("jobs", "show", given).upper()


def test_a_whole_id_is_asked_for_at_once(listed: Recorder) -> None:
    run(listed, "jobs", "show", EARLIER)
    assert [asked.path for asked in listed.asked] == [f"/v1/jobs/{EARLIER}"]


def test_a_forget_request_is_shown_as_forget_showed_it(listed: Recorder) -> None:
    shown = run(listed, "forget-requests", "show", EARLIER).stdout
    assert "verdict passed, claim edited, version 2" in shown
    assert "forget_accuracy" in shown
    assert "What the effect gate demanded" in shown


def test_one_method_is_shown_by_its_name_and_a_name_that_is_none_is_refused(listed: Recorder) -> None:
    shown = run(listed, "methods", str(METHOD["name"]))
    assert str(METHOD["when_not"]) in shown.stdout
    assert "reference_paper" in shown.stdout
    unknown = run(listed, "methods", "amnesia")
    assert isinstance(unknown.exception, NotFound)
    assert "`forgettery methods` lists them" in unknown.exception.detail


def test_figures_that_do_not_fit_beside_each_other_come_in_a_second_table(listed: Recorder) -> None:
    lines = on_terminal(listed, "verifications", "list")
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith(EARLIER) for line in lines) >= 2


def test_the_model_card_is_printed_as_it_is(recorder: Recorder) -> None:
    card = "# digits, version 2\n\nA *classifier* of größe.\n"
    recorder.answers["GET /v1/models/digits/versions/2/card"] = card.encode()
    assert run(recorder, "versions", "card", "digits", "2").stdout == card
    assert json.loads(run(recorder, "versions", "card", "digits", "2", "--json").stdout) == {"card": card}


@pytest.mark.parametrize(
    ("options", "scopes"),
    [
        (["--preset", "auditor"], ["read", "audit"]),
        (["--preset", "auditor", "--scope", "predict"], ["read", "audit", "predict"]),
        (["--scope", "predict"], ["predict"]),
    ],
)
def test_a_preset_stands_for_its_scopes(recorder: Recorder, options: list[str], scopes: list[str]) -> None:
    run(recorder, "api-keys", "create", "somebody", *options)
    assert recorder.asked[-1].body["scopes"] == scopes


def test_a_key_that_may_do_nothing_is_wrong_usage() -> None:
    assert "--preset auditor" in refused("api-keys", "create", "somebody")
