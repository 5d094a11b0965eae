"""Cells of the study, gathered: which belong together, and their means."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean

from benchmarks.writing import NONE, Row, listed

Cell = Row


def load_cells(folder: Path) -> list[Cell]:
    """Every cell of a folder, in the order of its files."""
    return [json.loads(path.read_text()) for path in sorted((folder / "cells").glob("*/*.json"))]


def load_costs(folder: Path) -> list[Cell]:
    """Every file of costs of a folder."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("costs_*.json"))]


def ratio(cells: Iterable[Cell]) -> float | None:
    """The mean of each cell's CPU time over that of a retraining for the same target."""
    found = [own for cell in cells if (own := ratio_of(cell)) is not None]
    return fmean(found) if found else None


def ratio_of(cell: Cell) -> float | None:
    """CPU time over that of a retraining, where there is one."""
    if not cell.get("retraining_seconds") or not cell["seconds"]:
        return None
    return float(cell["seconds"] / cell["retraining_seconds"])


def by_class(cells: Iterable[Cell], figure: Callable[[Cell], float]) -> dict[int, float]:
    """The mean over seeds of a figure of each forgotten class."""
    found: dict[int, list[float]] = {}
    for cell in cells:
        found.setdefault(cell["classes"][0], []).append(figure(cell))
    return {number: fmean(values) for number, values in sorted(found.items())}


def counted(values: Iterable[str | None]) -> str:
    """How often each occurs, the most frequent first; the value alone where there is no other."""
    counts = Counter("none" if value is None else value for value in values)
    if len(counts) == 1:
        return next(iter(counts))
    return listed(f"{value} {count}" for value, count in counts.most_common())


def missed(cells: Iterable[Cell]) -> str:
    """The criteria that did not hold, each with the number of cells."""
    counts = Counter(name for cell in cells for name in cell["missed"])
    return listed(f"{name} {count}" for name, count in counts.most_common()) or NONE
