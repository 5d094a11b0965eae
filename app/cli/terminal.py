"""What client commands share: how a body is made of what was given, and how results are printed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

import typer

from app.errors import FieldError, InvalidInput, NotFound

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.table import Table

    Item = TypeVar("Item", bound=BaseModel)
    Body = TypeVar("Body", bound=BaseModel)


class Identified(Protocol):
    """A thing that has an id."""

    @property
    def id(self) -> UUID: ...  # noqa: D102  says it all


_ENDLESS = 1_000_000
"""The width, in columns, of a pipe or a file: no table has to fold there."""
_GAP = 2
"""Spaces between two columns of a table."""
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def body(kind: type[Body], values: Mapping[str, Any]) -> Body:
    """A request body of what was given (None: not given); raises InvalidInput as the server would."""
    from pydantic import ValidationError  # noqa: PLC0415  see `Call.connect`

    try:
        return kind.model_validate(present(values))
    except ValidationError as error:
        faults = [FieldError("/" + "/".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
        raise InvalidInput("the options do not make a valid request", errors=faults) from error


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given on the command line; None stands for an option left out."""
    return {name: value for name, value in values.items() if value is not None}


def print_json(value: object) -> None:
    """Print one JSON value on standard output."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def show(item: BaseModel, *, as_json: bool, leave_out: Sequence[str] = ()) -> None:
    """Print one resource, field by field."""
    if as_json:
        print_json(item.model_dump(mode="json"))
        return
    rows = [(name, value) for name, value in item.model_dump().items() if name not in leave_out]
    print_table("", ("", ""), rows)


def show_list(
    items: Iterable[Item],
    columns: Sequence[str],
    row: Callable[[Item], Sequence[object]],
    *,
    as_json: bool,
    newest_first: bool = False,
) -> None:
    """Print resources, one a line; JSON keeps the server's order, a table of events begins with the newest if asked."""
    if as_json:
        print_json([item.model_dump(mode="json") for item in items])
        return
    rows = [row(item) for item in items]
    print_table("", columns, reversed(rows) if newest_first else rows)


def an_id(given: str | None) -> str | None:
    """An id or the beginning of one, for the callback of an option or argument; anything else is wrong usage."""
    if given is None or re.fullmatch(r"[0-9a-fA-F-]{1,36}", given):
        return given
    raise typer.BadParameter(f"{given!r} is no id, nor the beginning of one")


def identified(given: str, found: Callable[[], Iterable[Identified]], what: str) -> UUID:
    """The id that somebody gave, whole or by its beginning; the list is asked for only in the second case.

    Raises NotFound where nothing begins so, InvalidInput where several do.
    """
    try:
        return UUID(given)
    except ValueError:
        beginning = given.lower()
    ids = [item.id for item in found() if str(item.id).startswith(beginning)]
    if not ids:
        raise NotFound(f"no id of {what} begins with {beginning}")
    if len(ids) > 1:
        raise InvalidInput(
            f"{len(ids)} ids of {what} begin with {beginning}, {ids[0]} and {ids[1]} do; give more of it"
        )
    return ids[0]


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output. A terminal gets it no wider than it is, anything else one line for each row.

    On a terminal text folds between words, figures and ids do not: columns for which there is no room come in a further
    table.
    """
    from rich.console import Console  # noqa: PLC0415  rich is not needed for --json

    if title:
        typer.echo(title)
    values = [list(row) for row in rows]
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _ENDLESS)
    drawn = [_column(heading, [row[place] for row in values]) for place, heading in enumerate(columns)]
    for part in _parts(drawn, console.width):
        console.print(_table(part, _widths(part, console.width)))


class _Column(NamedTuple):
    """A column of a table, as text."""

    heading: str
    cells: list[str]
    folds: bool

    @property
    def width(self) -> int:
        return max(len(self.heading), *map(len, self.cells), 0)

    @property
    def least_width(self) -> int:
        if not self.folds:
            return self.width
        words = [word for text in (self.heading, *self.cells) for word in text.split()]
        return max(map(len, words), default=0)


def _column(heading: str, values: Sequence[object]) -> _Column:
    folds = any(isinstance(value, str | datetime | dict | list | tuple) for value in values)
    return _Column(heading, [_cell(value) for value in values], folds)


def _parts(columns: list[_Column], width: int) -> list[list[_Column]]:
    """The columns in as many tables as they need, the first column in each."""
    parts: list[list[_Column]] = [[]]
    for column in columns:
        least = sum(each.least_width + _GAP for each in [*parts[-1], column]) - _GAP
        if least > width and len(parts[-1]) > 1:
            parts.append([columns[0]])
        parts[-1].append(column)
    return parts


def _widths(columns: list[_Column], width: int) -> list[int]:
    """Every column as narrow as it can be, then the room that is left to those that lack most.

    Words are cut only in the last one, where there is less room than even a table of its own needs.
    """
    widths = [column.least_width for column in columns]
    lacks = [column.width - column.least_width for column in columns]
    room = width - sum(widths) - _GAP * (len(columns) - 1)
    widths[-1] = max(widths[-1] + min(room, 0), 1)
    for _ in range(min(room, sum(lacks))):
        neediest = lacks.index(max(lacks))
        widths[neediest] += 1
        lacks[neediest] -= 1
    return widths


def _table(columns: list[_Column], widths: list[int]) -> Table:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415  see `print_table`
    from rich.table import Table  # noqa: PLC0415  for the same reason

    headed = any(column.heading for column in columns)
    table = Table(box=SIMPLE_HEAD, show_header=headed, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column.heading, overflow="fold", width=width)
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=_cell)
    return " ".join(str(value).split())
