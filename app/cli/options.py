"""Options that several commands share, and how numbers and JSON are read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.terminal import an_id, identified
from app.errors import InvalidInput

if TYPE_CHECKING:
    from app.client import Client


def numbers(value: str) -> tuple[int, ...]:
    """Whole numbers with commas between them; anything else is wrong usage."""
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise typer.BadParameter(f'"{value}" is not one whole number, nor several like 0,1') from error


def from_json(option: str, value: str) -> dict[str, Any]:
    """A JSON object; raises InvalidInput for anything else."""
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise InvalidInput(f"{option} is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise InvalidInput(f"{option} must be a JSON object")
    return parsed


def rows_of(path: Path | None) -> list[int]:
    """The row numbers in a file, one a line; empty lines count for nothing, nor does a byte order mark."""
    if path is None:
        return []
    try:
        return [int(line) for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as row numbers, one a line") from error


def identified_request(client: Client, given: str | None) -> UUID | None:
    """The id of the forget request that was named, if one was."""
    return None if given is None else identified(given, client.forget_requests, "a forget request")


ForgetRequestId = Annotated[
    str | None, typer.Option(help="Only of this forget request, by its id or the beginning of it.", callback=an_id)
]
SamplesFile = Annotated[Path | None, typer.Option(help="A file of such rows, one a line.", exists=True, dir_okay=False)]
Name = Annotated[str, typer.Argument(help="Name of the model.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the work has ended.")]
Seed = Annotated[int | None, typer.Option(help="Fixes every random choice.", show_default=False)]
# typer knows no list of tuples: what the parser makes of each value is a tuple[int, ...].
Tasks = Annotated[
    list[Any] | None,
    typer.Option("--task", parser=numbers, metavar="CLASSES", help="Classes learned together, like 0,1; repeat."),
]
