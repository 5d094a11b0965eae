"""The examples of the page about tasks do what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.server_process import ROOT, Server
from tests.e2e.test_readme import documents

pytestmark = pytest.mark.slow
ADDRESS = "http://127.0.0.1:8000"


def examples(language: str) -> list[str]:
    page = (ROOT / "docs/tasks.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def answered(answer: Any) -> tuple[int, bool]:
    prediction = answer["predictions"][0]
    return prediction["label"], prediction["forgotten"]


def test_the_requests_work_as_written(server: Server) -> None:
    script = "\necho ---\n".join(["set -euo pipefail", *examples("bash")]).replace(ADDRESS, server.url)
    result = subprocess.run(["bash"], input=script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    created, further, before, forgetting, part = [
        documents(block) for block in result.stdout.split("---\n") if block.strip()
    ]
    assert created[0]["model"]["learning"]["tasks"] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert further[0]["job"]["kind"] == "train"
    assert answered(before[0]) == (2, False)
    assert forgetting[0]["target"] == {"tasks": [1], "classes": [2, 3]}
    assert [answered(answer) for answer in forgetting[1:]] == [(0, True), (7, False)]
    assert {found["verdict"] for found in part[1]["items"]} == {"passed"}
    model = server.run_json("models", "show", "digits-by-task")
    assert (model["forgotten"]["classes"], model["forgotten"]["tasks"]) == ([2, 3, 5], [1])


def test_the_commands_work_as_written(server: Server) -> None:
    (block,) = examples("sh")
    for line in block.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "forgettery"
        result = server.run(*arguments)
        assert result.returncode == 0, (line, result.stdout, result.stderr)
    assert "Accuracy as tasks were learned" in result.stdout
    model = server.run_json("models", "show", "growing")
    assert (model["forgotten"]["classes"], model["forgotten"]["tasks"]) == ([3, 6, 7], [3])


def test_the_program_works_as_written(server: Server) -> None:
    (program,) = examples("python")
    result = subprocess.run(
        [sys.executable, "-"],
        input=program.replace(ADDRESS, server.url),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["0", "1", "2", "3"]
