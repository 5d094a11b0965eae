"""The commands of the README do what it says."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from tests.e2e.server_process import ROOT, Server
from tests.waiting import HANGS_AFTER

pytestmark = pytest.mark.slow
ADDRESS = "URL=http://127.0.0.1:8000"


def walk_through() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def pasted(server: Server, blocks: list[str]) -> subprocess.CompletedProcess[str]:
    script = "\necho ---\n".join(["set -euo pipefail", *blocks]).replace(ADDRESS, f"URL={server.url}")
    return subprocess.run(
        ["bash"], input=script, cwd=ROOT, capture_output=True, text=True, check=False, timeout=HANGS_AFTER
    )


def test_the_walk_through_works_as_written_and_a_second_time(server: Server) -> None:
    blocks = walk_through()
    assert blocks[0].startswith(ADDRESS)
    assert pasted(server, blocks[:1]).returncode == 0
    result = pasted(server, blocks)
    assert result.returncode == 0, result.stderr
    created, before, forgetting, after, evidence, samples = [
        documents(part) for part in result.stdout.split("---\n") if part.strip()
    ]
    assert created[0]["job"]["kind"] == "train"
    assert [answer["predictions"][0]["label"] for answer in before] == [2, 7]
    assert forgetting[0]["job"]["kind"] == "forget"
    assert [answer["predictions"][0]["forgotten"] for answer in after[:2]] == [True, False]
    assert [answer["predictions"][0]["label"] for answer in after[:2]] == [0, 7]
    assert after[2]["status"] == 410
    assert evidence[0]["items"][0]["verdict"] == "passed"
    assert "forget.completed" in {event["event"] for event in evidence[1]["items"]}
    assert evidence[2]["ok"] is True
    candidates = {candidate["method"]: candidate for candidate in samples[0]["candidates"]}
    assert candidates["retrain"]["expected_seconds"] > 0
    assert not candidates["edit"]["applicable"]


def test_the_walk_through_ends_with_the_reason_when_something_fails(server: Server) -> None:
    first = walk_through()[0]
    refused = pasted(server, [first.replace('"mnist"', '"nonsense"')])
    assert refused.returncode != 0
    assert "dataset-not-found" in refused.stdout
    cancelled = server.run_json("train", "cancelled-at-once", "--epochs", "1000", "--no-wait")
    server.run("jobs", "cancel", cancelled["id"])
    functions = first[: first.index("\ncall $URL")]
    waited = pasted(server, [functions, f"""echo '{{"job":{{"id":"{cancelled["id"]}"}}}}' | finish"""])
    assert waited.returncode != 0
    assert '"status":"cancelled"' in waited.stderr


def documents(text: str) -> list[Any]:
    """The JSON values that stand one after the other in a text."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found
