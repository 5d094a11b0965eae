"""`forgettery versions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli.calls import Call, client_command
from app.cli.reports import show_version, what_is_forgotten
from app.cli.terminal import Yes, print_json, show, show_list
from app.cli.verifications import verify

app = typer.Typer(help="List, show, download and purge the versions of a model.", no_args_is_help=True)
ModelName = Annotated[str, typer.Argument(help="Name of the model.")]
Number = Annotated[int, typer.Argument(help="Number of the version.")]
State = Annotated[Literal["available", "quarantined", "purged"] | None, typer.Option(help="Only those in this state.")]


@client_command(app, "list")
def list_versions(call: Call, model: ModelName, *, state: State = None) -> None:
    """List the versions of a model, newest first."""
    with call.connect() as client:
        show_list(
            client.versions(model, state=state),
            ("number", "state", "serving", "origin", "parent", "forgotten", "claim", "test accuracy", "created"),
            lambda version: (
                version.number,
                version.state,
                version.serving,
                version.origin,
                version.parent,
                what_is_forgotten(version.forgotten),
                version.claim,
                version.metrics.test_accuracy,
                version.created_at,
            ),
            as_json=call.as_json,
            newest_first=True,
        )


@client_command(app, "show")
def show_one(call: Call, model: ModelName, number: Number) -> None:
    """Show one version and its metrics; its manifest with --json."""
    with call.connect() as client:
        show_version(client.version(model, number), as_json=call.as_json)


@client_command(app)
def card(call: Call, model: ModelName, number: Number) -> None:
    """Print the model card of a version, in Markdown."""
    with call.connect() as client:
        markdown = client.model_card(model, number)
    if call.as_json:
        print_json({"card": markdown})
    else:
        typer.echo(markdown, nl=False)


@client_command(app)
def weights(
    call: Call,
    model: ModelName,
    number: Number,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: MODEL-NUMBER.safetensors.")] = None,
) -> None:
    """Download a version's weights (safetensors) and check their digest."""
    destination = output or Path(f"{model}-{number}.safetensors")
    with call.connect() as client:
        client.download_weights(model, number, destination)
    if call.as_json:
        print_json({"path": str(destination)})
    else:
        typer.echo(destination)


@client_command(app)
def purge(call: Call, model: ModelName, number: Number, *, yes: Yes = False) -> None:
    """Destroy a version's weights; its manifest and digest stay."""
    if not yes:
        typer.confirm(f"Destroy the weights of version {number} of {model}?", abort=True, err=True)
    with call.connect() as client:
        show(client.purge_version(model, number), as_json=call.as_json, leave_out=("manifest", "metrics"))


client_command(app)(verify)


@client_command(app, "delete-guard")
def delete_guard(call: Call, model: ModelName, number: Number, *, yes: Yes = False) -> None:
    """Destroy a version's guard, which knows the classes it refuses; the classifier then answers alone."""
    if not yes:
        typer.confirm(f"Destroy the guard of version {number} of {model}?", abort=True, err=True)
    with call.connect() as client:
        show(client.delete_guard(model, number), as_json=call.as_json, leave_out=("manifest", "metrics"))
