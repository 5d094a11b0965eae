"""Docstrings are sentences that a newcomer understands: the noun that is meant stands in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
RIDDLE = re.compile(
    r"\b[Ww]hoever\b|\bso many\b|\b(?:Those|The same) of\b|\bLikewise\b|\bof theirs\b|\bof which it\b|\bas of `|\bas .{1,20} ha(?:s|ve) it\b"
    r"|\bNone of (?!the\b|these\b)|\. Of\b"
    r"|^(?:Of|Those|That|The same|As|By|With|None|Ascending|Empty|Its|Their|They|It|So|Or|Like)\b"
)
"""Words that leave a reader to find out which noun is meant, and beginnings that have none."""


def docstrings(source: str) -> Iterator[str]:
    """The text of every docstring of a module, of its classes, functions and attributes, on one line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield " ".join(node.value.value.split())


def test_no_docstring_is_a_riddle() -> None:
    found = [
        f"{module.relative_to(APP)}: {text}"
        for module in sorted(APP.rglob("*.py"))
        for text in docstrings(module.read_text())
        if RIDDLE.search(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "riddle",
    [
        "Of Adam.",
        "Likewise of test rows.",
        "The same of a guard.",
        "Drawn so many times.",
        "None where it is purged.",
        "The share of hits; None of none.",
        "The margin, in nats. Of raw logits.",
        "Steps, as `Spent` has it.",
    ],
)
def test_a_riddle_is_noticed(riddle: str) -> None:
    found = list(docstrings(f'rate = 1\n"""{riddle}"""\nsteps = 2\n"""The number of steps."""\n'))
    assert [bool(RIDDLE.search(text)) for text in found] == [True, False]
