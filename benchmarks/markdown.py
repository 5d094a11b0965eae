"""Figures as Markdown: tables, and mean ± standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

Runs = list[dict[str, Any]]
NONE = "-"
"""A cell of which there is no figure."""
TASK_NAMES = ("0 1", "2 3", "4 5", "6 7", "8 9")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table, with an empty one after it."""
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def spread(values: Sequence[float], digits: int = 4) -> str:
    """Mean ± sample standard deviation; of one value, the value."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{fmean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def points(values: Sequence[float]) -> str:
    """Mean ± sample standard deviation of differences of shares, as percentage points."""
    deviation = f" ± {100 * stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):+.2f}{deviation}"


def by_task(columns: Sequence[Sequence[float]]) -> list[str]:
    """A cell per task, over the seeds; `columns` has a list per seed with a value per task."""
    return [spread(values) for values in zip(*columns, strict=True)]


def plain(values: Iterable[float]) -> list[str]:
    """A cell per value of one published run."""
    return [f"{value:.4f}" for value in values]


def seeds_of(runs: Runs) -> str:
    """How many seeds these runs are of, as words."""
    count = len({run["seed"] for run in runs})
    return "one seed" if count == 1 else f"{count} seeds"
