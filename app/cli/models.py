"""`forgettery models`."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.reports import what_is_forgotten
from app.cli.terminal import LOCAL, Json, Key, Url, Yes, connect, print_json, show, show_list

app = typer.Typer(help="List, show and delete models; choose the serving version.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the model.")]


@app.command("list")
def list_models(*, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """List all models, newest first."""
    with connect(url, key) as client:
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
            as_json=as_json,
            newest_first=True,
        )


@app.command("show")
def show_model(name: Name, *, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """Show one model."""
    with connect(url, key) as client:
        show(client.model(name), as_json=as_json)


@app.command()
def serving(
    name: Name,
    version: Annotated[int, typer.Argument(help="Number of the version that is to serve.")],
    *,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Let another version serve."""
    with connect(url, key) as client:
        show(client.set_serving(name, version), as_json=as_json)


@app.command()
def delete(name: Name, *, yes: Yes = False, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """Purge all versions of a model and retire its name."""
    if not yes:
        typer.confirm(f"Destroy every version of {name} and retire its name?", abort=True, err=True)
    with connect(url, key) as client:
        client.delete_model(name)
    if as_json:
        print_json({"deleted": name})
