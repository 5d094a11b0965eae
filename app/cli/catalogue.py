"""What can be asked for: data sets, architectures, unlearning methods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli.calls import Call, client_command
from app.cli.terminal import show, show_list
from app.errors import NotFound

if TYPE_CHECKING:
    from app.contract.catalogue import ArchitectureInfo, Dataset, MethodInfo

    Entry = TypeVar("Entry", Dataset, ArchitectureInfo, MethodInfo)

app = typer.Typer()
Name = Annotated[str | None, typer.Argument(help="Show this one alone, in full.", show_default=False)]


@client_command(app)
def datasets(call: Call, name: Name = None) -> None:
    """List the data sets that models can be trained on, or show one."""
    with call.connect() as client:
        if name is not None:
            show(_named(name, client.datasets(), "data set", "datasets"), as_json=call.as_json)
            return
        show_list(
            client.datasets(),
            ("name", "shape", "classes", "train", "test", "here"),
            lambda found: (
                found.name,
                found.input_shape,
                len(found.classes),
                found.num_train,
                found.num_test,
                found.available,
            ),
            as_json=call.as_json,
        )


@client_command(app)
def architectures(call: Call, name: Name = None) -> None:
    """List the architectures, or show one with its parameters."""
    with call.connect() as client:
        if name is not None:
            show(_named(name, client.architectures(), "architecture", "architectures"), as_json=call.as_json)
            return
        show_list(
            client.architectures(),
            ("name", "description", "parameters"),
            lambda found: (found.name, found.description, ", ".join(found.parameters.get("properties", {}))),
            as_json=call.as_json,
        )


@client_command(app)
def methods(call: Call, name: Name = None) -> None:
    """List the unlearning methods: what they claim, for what, and when not to use them; or show one."""
    with call.connect() as client:
        if name is not None:
            show(_named(name, client.methods(), "method", "methods"), as_json=call.as_json)
            return
        show_list(
            client.methods(),
            ("name", "claim", "targets", "when not to use it"),
            lambda found: (found.name, found.claim, ", ".join(found.targets), found.when_not),
            as_json=call.as_json,
        )


def _named(name: str, entries: Iterable[Entry], kind: str, command: str) -> Entry:
    for entry in entries:
        if entry.name == name:
            return entry
    raise NotFound(f"there is no {kind} {name}; `forgettery {command}` lists them")
