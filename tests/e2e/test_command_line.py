"""The same job by the command line."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.server_process import ROOT, Server, free_port

NAME = "by-command"


@pytest.fixture(scope="module")
def trained(server: Server) -> subprocess.CompletedProcess[str]:
    return server.run("train", NAME, "--hidden", "128", "--epochs", "2", "--json")


@pytest.fixture(scope="module")
def forgotten(server: Server, trained: Any) -> dict[str, Any]:
    found: dict[str, Any] = server.run_json("forget", NAME, "--class", "2", "--reason", "by the command line")
    return found


PROXIED = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}


def test_a_server_on_this_machine_is_found_where_all_else_goes_through_a_proxy(server: Server) -> None:
    listed = server.run("models", "list", settings=PROXIED)
    assert listed.returncode == 0, listed.stderr


def test_the_health_check_of_the_image_asks_no_proxy(server: Server) -> None:
    words = re.search(r"^HEALTHCHECK.*?CMD (\[.*?\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)
    assert words
    _, *arguments = json.loads(words[1])
    settings = PROXIED | {"FORGETTERY_PORT": str(server.port)}
    checked = subprocess.run([sys.executable, *arguments], env=os.environ | settings, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_training_prints_the_version_on_standard_output_and_progress_beside_it(trained: Any) -> None:
    assert trained.returncode == 0, trained.stderr
    version = json.loads(trained.stdout)
    assert (version["model"], version["number"], version["serving"]) == (NAME, 1, True)
    assert "succeeded" in trained.stderr


def test_forgetting_prints_the_report(server: Server, forgotten: dict[str, Any]) -> None:
    assert forgotten["verdict"] == "passed"
    assert forgotten["report"]["after"]["forget_accuracy"] == 0
    shown = server.run("forget-requests", "show", forgotten["id"])
    assert "completed" in shown.stdout


def test_predictions_of_images_arrays_and_lists(server: Server, forgotten: dict[str, Any], tmp_path: Path) -> None:
    array, listed = tmp_path / "two.npy", tmp_path / "two.json"
    np.save(array, np.zeros((2, 28, 28), np.float32))
    listed.write_text(json.dumps({"inputs": [[0.0] * 784]}))
    files = ["docs/examples/two.png", "docs/examples/seven.png", str(array), str(listed)]
    answers = server.run_json("predict", NAME, *files)
    assert [len(answer["predictions"]) for answer in answers] == [1, 1, 2, 1]
    assert (answers[0]["predictions"][0]["label"], answers[0]["predictions"][0]["forgotten"]) == (0, True)
    assert (answers[1]["predictions"][0]["label"], answers[1]["predictions"][0]["forgotten"]) == (7, False)
    for_people = server.run("predict", NAME, files[0], "--on-forgotten", "token")
    assert "[forgotten]" in for_people.stdout


def test_lists_for_people_and_for_programs(server: Server, forgotten: dict[str, Any]) -> None:
    assert [model["name"] for model in server.run_json("models", "list") if model["name"] == NAME] == [NAME]
    assert [version["state"] for version in server.run_json("versions", "list", NAME)] == ["quarantined", "available"]
    assert {job["status"] for job in server.run_json("jobs", "list", "--model", NAME)} == {"succeeded"}
    assert [found["id"] for found in server.run_json("forget-requests", "list", "--model", NAME)] == [forgotten["id"]]
    for command in (
        ["models", "list"],
        ["models", "show", NAME],
        ["versions", "list", NAME],
        ["versions", "show", NAME, "2"],
        ["jobs", "list"],
        ["jobs", "show", forgotten["job"]["id"]],
        ["jobs", "watch", forgotten["job"]["id"]],
        ["forget-requests", "list"],
        ["audit", "list", "--model", NAME],
        ["datasets"],
        ["architectures"],
        ["methods"],
        ["api-keys", "list"],
    ):
        result = server.run(*command)
        assert result.returncode == 0, result.stderr
        assert result.stdout.strip(), command


def test_the_log_is_verified(server: Server, forgotten: dict[str, Any]) -> None:
    assert server.run_json("audit", "verify")["ok"]
    assert "every entry holds" in server.run("audit", "verify").stdout


def test_a_plan_is_shown_and_nothing_is_forgotten(server: Server, forgotten: dict[str, Any]) -> None:
    plan = server.run_json("forget", NAME, "--class", "4", "--dry-run")
    assert plan["quarantined_versions"] == [2]
    assert server.run_json("models", "show", NAME)["forgotten"]["classes"] == [2]


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["models", "show", "nobody"], 5, "nobody"),
        (["forget", NAME, "--class", "2"], 6, "forgotten"),
        (["train", NAME], 6, NAME),
        (["train-further", NAME, "--class", "2"], 6, "forgotten"),
        (["predict", NAME, "docs/examples/two.png", "--version", "1"], 7, "quarantined"),
        (["versions", "weights", NAME, "1"], 7, "quarantined"),
        (["predict", NAME, "LICENSE"], 3, "PNG"),
    ],
)
def test_what_the_server_refuses_is_a_sentence_and_an_exit_code(
    server: Server, forgotten: dict[str, Any], command: list[str], code: int, says: str
) -> None:
    result = server.run(*command)
    assert (result.returncode, result.stdout) == (code, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_weights_are_downloaded_and_purged(server: Server, forgotten: dict[str, Any], tmp_path: Path) -> None:
    destination = tmp_path / "weights.safetensors"
    assert server.run("versions", "weights", NAME, "2", "-o", str(destination)).returncode == 0
    digest = f"sha256:{hashlib.sha256(destination.read_bytes()).hexdigest()}"
    assert digest == server.run_json("versions", "show", NAME, "2")["digest"]
    assert server.run_json("versions", "purge", NAME, "1", "--yes")["state"] == "purged"


def test_a_running_job_is_cancelled(server: Server) -> None:
    job = server.run_json("train", "cancelled", "--epochs", "1000", "--no-wait")
    assert server.run("jobs", "cancel", job["id"]).returncode == 0
    watched = server.run("jobs", "watch", job["id"])
    assert watched.returncode == 6
    assert "cancelled" in watched.stderr
    assert server.run_json("versions", "list", "cancelled") == []


@pytest.mark.slow
def test_the_demonstration_starts_a_server_where_none_runs_and_stops_it(server: Server, tmp_path: Path) -> None:
    home = tmp_path / "home of the demonstration"
    nobody = {"FORGETTERY_URL": f"http://127.0.0.1:{free_port()}", "FORGETTERY_HOME": str(home)}
    result = server.run("demo", "--epochs", "1", "--class", "1", settings=nobody)
    assert result.returncode == 0, result.stderr
    assert f"with its data in {home}" in result.stderr
    assert "answered 0, forgotten" in result.stdout
    assert "forget.completed" in result.stdout
    assert "every one holds" in result.stdout
    assert not (home / "server.json").exists()
