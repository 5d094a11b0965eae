"""`forgettery models`."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.calls import Call, client_command
from app.cli.reports import what_is_forgotten
from app.cli.terminal import Yes, print_json, show, show_list

app = typer.Typer(help="List, show and delete models; choose the serving version.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the model.")]


@client_command(app, "list")
def list_models(call: Call) -> None:
    """List all models, newest first."""
    with call.connect() as client:
        show_list(
            client.models(),
            ("name", "data set", "architecture", "tasks", "serving", "latest", "forgotten", "created"),
            lambda model: (
                model.name,
                model.dataset,
                model.architecture["type"],
                len(model.learning.get("tasks", ())) or None,
                model.serving_version,
                model.latest_version,
                what_is_forgotten(model.forgotten),
                model.created_at,
            ),
            as_json=call.as_json,
            newest_first=True,
        )


@client_command(app, "show")
def show_model(call: Call, name: Name) -> None:
    """Show one model."""
    with call.connect() as client:
        show(client.model(name), as_json=call.as_json)


@client_command(app)
def serving(
    call: Call,
    name: Name,
    version: Annotated[int, typer.Argument(help="Number of the version that is to serve.")],
) -> None:
    """Let another version serve."""
    with call.connect() as client:
        show(client.set_serving(name, version), as_json=call.as_json)


@client_command(app)
def delete(call: Call, name: Name, *, yes: Yes = False) -> None:
    """Purge all versions of a model and retire its name."""
    if not yes:
        typer.confirm(f"Destroy every version of {name} and retire its name?", abort=True, err=True)
    with call.connect() as client:
        client.delete_model(name)
    if call.as_json:
        print_json({"deleted": name})
