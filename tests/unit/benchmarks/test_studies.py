from __future__ import annotations

import json
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.__main__ import main, studies
from benchmarks.study import Study
from benchmarks.writing import mean_and_worst, number, table, write

_REPOSITORY = Path(__file__).parents[3]
_PAGES = [*_REPOSITORY.glob("docs/**/*.md"), _REPOSITORY / "README.md", *_REPOSITORY.glob("benchmarks/**/*.py")]


@pytest.mark.parametrize("study", studies(), ids=lambda study: study.name)
def test_every_study_can_be_run_and_is_listed_once(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    package = find_spec(f"benchmarks.{study.name}")
    assert package is not None
    program = import_module(f"benchmarks.{study.name}.run" if package.submodule_search_locations else package.name)
    assert callable(program.main)
    main()
    printed = capsys.readouterr().out
    assert printed.count(f"{study.command}\n") == 1
    assert study.measures in printed
    assert study.cost in printed


def test_every_command_that_a_page_names_is_a_study() -> None:
    named = {name for page in _PAGES for name in re.findall(r"python -m benchmarks\.([a-z_.]*[a-z])", page.read_text())}
    assert named
    assert named <= {study.name for study in studies()}


def test_figures_are_rounded_signed_and_in_bold_where_they_miss() -> None:
    assert number(None) == "-"
    assert number(0.98765) == "0.9877"
    assert number(0.5, 1, signed=True, missed=True) == "**+0.5**"
    assert mean_and_worst([1.0, 0.5], min, 2, missed=(False, True)) == "0.75 (**0.50**)"
    assert mean_and_worst([], min) == "-"
    assert table(["a", "b"], [[1, "x"]]) == ["| a | b |", "|---|---|", "| 1 | x |", ""]


def test_a_file_is_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "figures.json"
    write(path, {"a": 1})
    write(path, {"a": [2]}, indent=None)
    assert path.read_text() == '{"a":[2]}\n'
    with pytest.raises(TypeError):
        write(path, {("no", "key"): 1})
    assert json.loads(path.read_text()) == {"a": [2]}
    assert [found.name for found in path.parent.iterdir()] == ["figures.json"]
