"""The import layers hold, and light processes load nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "torchvision"}
LIGHT = [
    "app.client",
    "app.cli",
    "app.evidence.certificate_check",
    "app.evidence.log_check",
    "app.contract.forgetting",
    "app.specs",
    "app.errors",
]
MOST_PARAMETERS = 8
SERVER = {"fastapi", "starlette", "sqlalchemy", "alembic", "uvicorn", "numpy", "PIL"}


def loaded_by(statement: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has loaded after a statement."""
    program = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(result.stdout.splitlines()[-1].split())


def test_the_import_contracts_hold() -> None:
    command = Path(sysconfig.get_path("scripts")) / "lint-imports"
    result = subprocess.run([command, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stdout


def test_the_layers_that_the_decision_lists_are_those_of_the_contract() -> None:
    decision = (ROOT / "docs/decisions/0001-rooms-and-import-layers.md").read_text()
    listed = decision.split("```")[1].split("\n")[1:-1]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert listed == [layer.replace("app.", "") for layer in layers]


@pytest.mark.parametrize("module", LIGHT)
def test_client_command_line_and_verifier_load_neither_torch_nor_the_server(module: str) -> None:
    assert not loaded_by(f"import {module}") & (HEAVY | SERVER)


def test_the_commands_of_the_client_are_ready_without_loading_the_client() -> None:
    assert not loaded_by("import app.cli") & {"httpx", "pydantic", "rich", "cryptography"}


@pytest.mark.parametrize(
    "module",
    [
        "app.main",
        "app.api",
        "app.settings",
        "app.database.engine",
        "app.audit.log",
        "app.datasets.catalogue",
        "app.store.versions",
        "app.jobs.worker",
        "app.prediction.client",
    ],
)
def test_the_api_process_and_the_worker_load_no_torch(module: str) -> None:
    assert not loaded_by(f"import {module}") & HEAVY


def test_every_module_says_what_it_is_and_postpones_annotations() -> None:
    for path in sorted((ROOT / "app").rglob("*.py")):
        text = path.read_text()
        assert text.startswith('"""'), path
        if "def " in text:
            assert "from __future__ import annotations" in text, path


def test_no_file_is_named_for_being_left_over() -> None:
    names = {path.stem for path in (ROOT / "app").rglob("*.py")}
    assert not names & {"utils", "helpers", "common", "base", "manager"}


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The names of all parameters but `self` and `cls`."""
    told = function.args
    named = [*told.posonlyargs, *told.args, *told.kwonlyargs, *filter(None, [told.vararg, told.kwarg])]
    return [parameter.arg for parameter in named if parameter.arg not in {"self", "cls"}]


def test_parameters_that_travel_together_are_one_value() -> None:
    """The options of a command are exempt: they are the parameters of its function."""
    modules = [path for path in sorted((ROOT / "app").rglob("*.py")) if ROOT / "app/cli" not in path.parents]
    too_many = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(parameters(node)) > MOST_PARAMETERS
    ]
    assert too_many == []
