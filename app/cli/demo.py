"""`forgettery demo`: the main job from beginning to end on real MNIST, in a minute or two."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from app.addresses import is_loopback, without_credentials
from app.cli import demo_classes, demo_tasks
from app.cli.calls import Call, client_command
from app.cli.demo_digits import test_digits
from app.cli.own_server import OwnServer
from app.cli.progress import say
from app.errors import GateMissed, Unavailable

if TYPE_CHECKING:
    from app.client import Client

app = typer.Typer()
_IMAGES = 500


@client_command(app)
def demo(
    call: Call,
    *,
    digit: Annotated[
        int | None, typer.Option("--class", min=0, max=9, help="The digit to forget; default: 2.", show_default=False)
    ] = None,
    tasks: Annotated[
        bool,
        typer.Option("--tasks", help="Learn the digits as five tasks, in two ways; forget a task, part of another."),
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training images, of every task.", show_default=False)
    ] = None,
) -> None:
    """Train on MNIST, forget a digit, predict, and show the evidence; starts a server if none answers on this machine."""
    if tasks and digit is not None:
        raise typer.BadParameter("--tasks says itself what is forgotten; leave --class out")
    digits = test_digits(_IMAGES)
    name = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with _server(call) as client:
        if tasks:
            requests = demo_tasks.run(client, name, digits, epochs, as_json=call.as_json)
        else:
            chosen = 2 if digit is None else digit
            requests = [demo_classes.run(client, name, digits, chosen, epochs, as_json=call.as_json)]
    for request in requests:
        if request.verdict != "passed":
            raise GateMissed(
                f"verdict {request.verdict}; version {request.parent_version} of {request.model} serves on"
            )


@contextmanager
def _server(call: Call) -> Iterator[Client]:
    with call.connect() as client:
        try:
            client.health()
        except Unavailable:
            if not is_loopback(urlsplit(call.url).hostname or ""):
                raise
        else:
            say(f"Using the server at {without_credentials(call.url)}.")
            yield client
            return
    with OwnServer() as own:
        say(
            f"No server answers at {without_credentials(call.url)}: started one at {own.url}, with its data in {own.home}."
        )
        with Call(own.url, call.key or os.environ.get("FORGETTERY_ADMIN_KEY", "")).connect() as client:
            yield client
    say(f"Stopped the server; `FORGETTERY_HOME={own.home} forgettery serve` serves what it made.")
