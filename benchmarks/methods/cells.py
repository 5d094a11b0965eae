"""Cells of the benchmark of methods, gathered: which belong together, and their means."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

Cell = dict[str, Any]


def load_cells(folder: Path) -> list[Cell]:
    """Every cell of a folder, in the order of its files."""
    return [json.loads(path.read_text()) for path in sorted((folder / "cells").glob("*/*.json"))]


def load_costs(folder: Path) -> list[Cell]:
    """Every file of costs of a folder."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("costs_*.json"))]


def where(cells: Iterable[Cell], **wanted: Any) -> list[Cell]:
    """Those that have these values."""
    return [cell for cell in cells if all(cell.get(name) == value for name, value in wanted.items())]


def mean(cells: Iterable[Cell], name: str) -> float | None:
    """Of those that have the figure; None where none has."""
    found = [cell[name] for cell in cells if cell.get(name) is not None]
    return fmean(found) if found else None


def ratio(cells: Iterable[Cell]) -> float | None:
    """The mean of each cell's CPU time over that of a retraining for the same target."""
    found = [
        cell["seconds"] / cell["retraining_seconds"]
        for cell in cells
        if cell.get("retraining_seconds") and cell["seconds"]
    ]
    return fmean(found) if found else None


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
    return ", ".join(f"{value} {count}" for value, count in counts.most_common())


def missed(cells: Iterable[Cell]) -> str:
    """The criteria that did not hold, each with the number of cells."""
    counts = Counter(name for cell in cells for name in cell["missed"])
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "-"
