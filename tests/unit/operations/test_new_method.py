"""A method is one file of specs, one line of the table, and one file that computes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

SPEC = '''
from dataclasses import dataclass

from app.specs.methods.method import EVERY_REFUSAL, STANDARD, MethodSpec
from app.specs.refusing import Budgets


@dataclass(frozen=True)
class ToyParameters(Budgets):
    """Parameters of the method `toy`."""

    factor: float = 0.5
    """What every weight is multiplied by."""


SPEC = MethodSpec(
    name="toy",
    parameters=ToyParameters,
    claim="approximate",
    targets=("classes",),
    modes=STANDARD,
    refusals=EVERY_REFUSAL,
    reads_forget_set=False,
    recurrent=True,
    idea="Makes the output layer smaller.",
    equation="w <- w / 2",
    guarantee="None.",
    paper="None.",
    when_not="Ever.",
    images=lambda work, parameters: 1.0,
    ranks={"classes": 1},
)
'''
COMPUTE = '''
import torch

from app.unlearning.methods.method import Computed


@torch.no_grad()
def compute(case, parameters, context, *, seed):
    """Multiply the weights of the output layer."""
    case.original.head.weight.mul_(parameters.factor)
    return Computed(case.original, {})
'''


def test_three_edits_make_a_method_that_is_listed_planned_compared_and_carried_out(tmp_path: Path) -> None:
    copy = tmp_path / "app"
    shutil.copytree(ROOT / "app", copy, copy_function=os.link, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "specs/methods/toy.py").write_text(SPEC)
    (copy / "unlearning/methods/toy.py").write_text(COMPUTE)
    table = copy / "specs/methods/__init__.py"
    lines = table.read_text().replace('    "edit",\n', '    "edit",\n    "toy",\n', 1)
    table.unlink()  # a link to the file of the repository
    table.write_text(lines)
    script = ROOT / "tests/unit/operations/toy_method.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-P", str(script), str(tmp_path / "home")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["carried out"], done.stderr
