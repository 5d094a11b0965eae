"""What studies write: Markdown of tables, means with their worst and spreads, and files that are whole or not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

Row = dict[str, Any]
NONE = "-"
"""A cell of which there is no figure."""
ROUNDING = 1e-9
"""15 of 3,000 images fewer are .005 fewer, whatever floats make of it."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table, with an empty one after it."""
    body = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body, ""]


def section(title: str, *paragraphs: str) -> list[str]:
    """A heading and what stands under it."""
    return [title, "", *(line for paragraph in paragraphs for line in (paragraph, ""))]


def number(value: float | None, digits: int = 4, *, signed: bool = False, missed: bool = False) -> str:
    """A figure, in bold where it misses its goal."""
    if value is None:
        return NONE
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    return f"**{text}**" if missed else text


def mean(rows: Iterable[Row], name: str) -> float | None:
    """Of those that have the figure; None where none has."""
    found = values(rows, name)
    return fmean(found) if found else None


def values(rows: Iterable[Row], name: str) -> list[float]:
    """The figures of this name that there are."""
    return [float(row[name]) for row in rows if row.get(name) is not None]


def mean_and_worst(
    found: Sequence[float],
    worst: Callable[[Sequence[float]], float],
    digits: int = 4,
    *,
    signed: bool = False,
    missed: tuple[bool, bool] = (False, False),
) -> str:
    """Mean (worst), since a mean hides the seed that failed; `missed` says which of both is to be bold."""
    if not found:
        return NONE
    both = zip((fmean(found), worst(found)), missed, strict=True)
    first, second = (number(value, digits, signed=signed, missed=bold) for value, bold in both)
    return f"{first} ({second})"


def spread(found: Sequence[float], digits: int = 4) -> str:
    """Mean ± sample standard deviation; of one value, the value."""
    return number(fmean(found), digits) + (f" ± {stdev(found):.{digits}f}" if len(found) > 1 else "")


def points(found: Sequence[float]) -> str:
    """Mean ± sample standard deviation of differences of shares, as percentage points."""
    return f"{100 * fmean(found):+.2f}" + (f" ± {100 * stdev(found):.2f}" if len(found) > 1 else "")


def by_column(rows: Iterable[Sequence[float]], digits: int = 4) -> list[str]:
    """The spread of each column."""
    return [spread(column, digits) for column in zip(*rows, strict=True)]


def where(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """The rows that have these values."""
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def distinct(rows: Iterable[Row], name: str) -> list[Any]:
    """The values of this name, in the order in which they first occur."""
    return list(dict.fromkeys(row[name] for row in rows))


def listed(items: Iterable[object]) -> str:
    """In words."""
    return ", ".join(map(str, items))


def passed(rows: Sequence[Row]) -> str:
    """How many passed the gate."""
    return f"{len(where(rows, verdict='passed'))} of {len(rows)}"


def seeds_of(rows: Iterable[Row]) -> str:
    """How many seeds these are of."""
    count = len(distinct(rows, "seed"))
    return "one seed" if count == 1 else f"{count} seeds"


def machines(found: Iterable[dict[str, Any]]) -> list[str]:
    """A line for each machine that figures are of."""
    told = {
        f"Machine: {one['cores']} cores ({one['processor']}), "
        + (f"{one['threads']} threads, " if "threads" in one else "")
        + f"torch {one['torch']}."
        for one in found
    }
    return sorted(told)


def write(path: Path, content: str | object, indent: int | None = 1) -> None:
    """A text as it is, or figures as JSON; who reads the file sees all of it or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    separators = (",", ":") if indent is None else None
    text = (
        content
        if isinstance(content, str)
        else json.dumps(content, indent=indent, separators=separators, default=str) + "\n"
    )
    partial.write_text(text)
    partial.rename(path)
