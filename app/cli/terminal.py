"""What client commands share: their three options, the connection, and how results are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from app.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    from pydantic import BaseModel

    from app.client import Client

    Item = TypeVar("Item", bound=BaseModel)
    Body = TypeVar("Body", bound=BaseModel)

LOCAL = "http://127.0.0.1:8000"
_WIDE = 1000
"""Columns of a terminal in which no table has to fold."""
Url = Annotated[str, typer.Option("--url", envvar="FORGETTERY_URL", help="The server's address.")]
Key = Annotated[str, typer.Option("--key", envvar="FORGETTERY_KEY", help="An API key.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output; progress stays on standard error.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def connect(url: str, key: str) -> Client:
    """A client of the server; imported here because httpx and pydantic would double the time of `--help`."""
    from app.client import Client  # noqa: PLC0415  see above

    return Client(url, key or None)


def body(kind: type[Body], values: Mapping[str, Any]) -> Body:
    """A request body of what was given (None: not given); raises InvalidInput as the server would."""
    from pydantic import ValidationError  # noqa: PLC0415  see `connect`

    try:
        return kind.model_validate(present(values))
    except ValidationError as error:
        faults = [FieldError("/" + "/".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
        raise InvalidInput("the options do not make a valid request", errors=faults) from error


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was given on the command line: None stands for an option left out."""
    return {name: value for name, value in values.items() if value is not None}


def print_json(value: object) -> None:
    """One JSON value on standard output."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def show(item: BaseModel, *, as_json: bool, leave_out: Sequence[str] = ()) -> None:
    """One resource, field by field."""
    wire = item.model_dump(mode="json")
    if as_json:
        print_json(wire)
        return
    rows = [(name, value) for name, value in wire.items() if name not in leave_out]
    print_table("", ("", ""), rows)


def show_list(
    items: Iterable[Item], columns: Sequence[str], row: Callable[[Item], Sequence[object]], *, as_json: bool
) -> None:
    """A list of resources, one a line."""
    if as_json:
        print_json([item.model_dump(mode="json") for item in items])
        return
    print_table("", columns, [row(item) for item in items])


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, in_full: bool = False) -> None:
    """A table on standard output; `in_full`: as wide as it is, for figures that folding would make illegible."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415  rich is not needed for --json
    from rich.console import Console  # noqa: PLC0415  likewise
    from rich.table import Table  # noqa: PLC0415  likewise

    if title:
        typer.echo(title)
    table = Table(box=SIMPLE_HEAD, show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=in_full)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(markup=False, highlight=False, width=_WIDE if in_full else None).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
