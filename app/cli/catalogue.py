"""What can be asked for: data sets, architectures, unlearning methods."""

from __future__ import annotations

import typer

from app.cli.terminal import LOCAL, Json, Key, Url, connect, show_list

app = typer.Typer()


@app.command()
def datasets(*, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """List the data sets that models can be trained on."""
    with connect(url, key) as client:
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
            as_json=as_json,
        )


@app.command()
def architectures(*, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """List the architectures."""
    with connect(url, key) as client:
        show_list(
            client.architectures(),
            ("name", "description", "parameters"),
            lambda found: (found.name, found.description, ", ".join(found.parameters.get("properties", {}))),
            as_json=as_json,
        )


@app.command()
def methods(*, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """List the unlearning methods: what they claim, for what, and when not to use them."""
    with connect(url, key) as client:
        show_list(
            client.methods(),
            ("name", "claim", "targets", "when not to use it"),
            lambda found: (found.name, found.claim, ", ".join(found.targets), found.when_not),
            as_json=as_json,
        )
