"""The `forgettery` command: thin commands over the client; `serve`, `worker`, `db` and `demo` over the server.

Exit codes: 0 done, 1 unexpected, 2 wrong usage, and one per branch of the error tree (`app.cli.exit_codes`).
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app import __version__
from app.cli import (
    api_keys,
    audit,
    catalogue,
    compare,
    demo,
    forget,
    forget_requests,
    jobs,
    models,
    predict,
    server,
    training,
    verifications,
    verify,
    versions,
)
from app.cli.exit_codes import EXIT_CODE_HELP, exit_code, paragraph
from app.errors import ForgetteryError

app = typer.Typer(
    name="forgettery",
    help="Train classifiers, make them forget on request, and keep the evidence.",
    epilog=EXIT_CODE_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for room in (server, demo, training, forget, compare, predict, catalogue):
    app.add_typer(room.app)
for name, group in {
    "models": models,
    "versions": versions,
    "jobs": jobs,
    "forget-requests": forget_requests,
    "verifications": verifications,
    "audit": audit,
    "verify": verify,
    "api-keys": api_keys,
}.items():
    app.add_typer(group.app, name=name)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  typer calls it with the option's value
    if wanted:
        typer.echo(f"forgettery {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Train classifiers, make them forget on request, and keep the evidence."""


def main() -> None:
    """Run the command line; an error of the tree becomes one paragraph on standard error and an exit code."""
    try:
        app()
    except ForgetteryError as error:
        typer.echo(paragraph(error), err=True)
        sys.exit(exit_code(error))
