"""Options that several commands share, and how numbers and JSON are read from them."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app.errors import InvalidInput


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


Name = Annotated[str, typer.Argument(help="Name of the model.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the work has ended.")]
Seed = Annotated[int | None, typer.Option(help="Fixes every random choice.", show_default=False)]
# typer knows no list of tuples: what the parser makes of each value is a tuple[int, ...].
Tasks = Annotated[
    list[Any] | None,
    typer.Option("--task", parser=numbers, metavar="CLASSES", help="Classes learned together, like 0,1; repeat."),
]
