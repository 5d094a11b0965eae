"""`forgettery demo`: the main job from beginning to end on real MNIST, in a minute or two."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlsplit

import typer

from app.cli.own_server import OwnServer
from app.cli.progress import wait
from app.cli.terminal import LOCAL, Json, Key, Url, connect, print_json, print_table
from app.errors import GateMissed, Unavailable

if TYPE_CHECKING:
    from app.client import Client
    from app.schemas import ForgetRequest, Predictions

app = typer.Typer()
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PIXELS = 28 * 28
_IMAGES = 500
_IMAGES_HEADER, _LABELS_HEADER = 16, 8
"""Bytes before the data of an IDX file of images and of labels."""


class Digits(NamedTuple):
    """Test images as rows of 784 numbers in 0..1, and their labels."""

    images: list[list[float]]
    labels: list[int]


@app.command()
def demo(
    *,
    digit: Annotated[int, typer.Option("--class", min=0, max=9, help="The digit to forget.")] = 2,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 5,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Train on MNIST, forget a digit, predict, and show the evidence; starts a server if none answers on this machine."""
    digits = test_digits(_IMAGES)
    with _server(url, key) as client:
        name = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        _say(f"Training {name}, an mlp, on the 60,000 images of MNIST …")
        _train(client, name, epochs)
        before = client.predict(name, digits.images)
        _say(f"Forgetting class {digit} …")
        request = _forget(client, name, digit)
        after = client.predict(name, digits.images)
        if as_json:
            _print_json(client, request, before, after)
        else:
            _print_story(client, request, digits, before, after)
    if request.verdict != "passed":
        raise GateMissed(f"verdict {request.verdict}; version {request.parent_version} serves on")


def test_digits(number: int) -> Digits:
    """The first images of MNIST's test set, from the files that come with the package."""
    folder = files("app.datasets") / "mnist"
    images = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())[_IMAGES_HEADER:]
    labels = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[_LABELS_HEADER:]
    rows = [images[start : start + _PIXELS] for start in range(0, number * _PIXELS, _PIXELS)]
    return Digits([[pixel / 255 for pixel in row] for row in rows], list(labels[:number]))


@contextmanager
def _server(url: str, key: str) -> Iterator[Client]:
    with connect(url, key) as client:
        try:
            client.health()
        except Unavailable:
            if urlsplit(url).hostname not in _LOOPBACK:
                raise
        else:
            _say(f"Using the server at {url}.")
            yield client
            return
    with OwnServer() as own:
        _say(f"No server answers at {url}: started one at {own.url}, with its data in {own.home}.")
        with connect(own.url, key or os.environ.get("FORGETTERY_ADMIN_KEY", "")) as client:
            yield client
    _say(f"Stopped the server; `FORGETTERY_HOME={own.home} forgettery serve` serves what it made.")


def _train(client: Client, name: str, epochs: int) -> None:
    from app.schemas import ModelCreate  # noqa: PLC0415  see terminal.connect
    from app.specs import Training  # noqa: PLC0415  likewise

    started = client.create_model(ModelCreate(name=name, dataset="mnist", training=Training(epochs=epochs)))
    wait(client, started.job)


def _forget(client: Client, name: str, digit: int) -> ForgetRequest:
    from app.schemas import ForgetCreate, ForgetTarget  # noqa: PLC0415  see terminal.connect

    request = client.forget(name, ForgetCreate(target=ForgetTarget(classes=[digit]), reason="demonstration"))
    wait(client, request.job)
    return client.forget_request(request.id)


def _print_story(
    client: Client, request: ForgetRequest, digits: Digits, before: Predictions, after: Predictions
) -> None:
    total = Counter(digits.labels)
    right_before, right_after = _right(digits, before), _right(digits, after)
    refused = Counter(label for label, answer in zip(digits.labels, after.predictions, strict=True) if answer.forgotten)
    print_table(
        f"The first {len(digits.labels)} test images: version {before.version} and version {after.version}",
        ("digit", "images", "right before", "right after", "answered 0, forgotten"),
        [(digit, total[digit], right_before[digit], right_after[digit], refused[digit]) for digit in sorted(total)],
    )
    if request.report:
        was, now = request.report.before, request.report.after
        print_table(
            f"All test and training images: verdict {request.verdict}, claim {request.claim}",
            ("", "before", "after"),
            [
                (figure, getattr(was, figure), getattr(now, figure))
                for figure in ("forget_accuracy", "refusal_rate", "false_refusal_rate", "test_accuracy")
            ],
        )
    events = client.audit_events(model=request.model)
    rows = [(entry.index, entry.event, entry.version, entry.leaf_hash[:16] + "…") for entry in events]
    print_table("The audit log of this model", ("index", "event", "version", "leaf hash"), rows)
    verified = client.verify_audit_log()
    typer.echo(f"Audit log: {verified.size} entries, {'every one holds' if verified.ok else 'BROKEN'}.")


def _right(digits: Digits, answers: Predictions) -> Counter[int]:
    pairs = zip(digits.labels, answers.predictions, strict=True)
    return Counter(label for label, answer in pairs if answer.label == label and not answer.forgotten)


def _print_json(client: Client, request: ForgetRequest, before: Predictions, after: Predictions) -> None:
    print_json(
        {
            "forget_request": request.model_dump(mode="json"),
            "before": before.model_dump(mode="json"),
            "after": after.model_dump(mode="json"),
            "audit": [entry.model_dump(mode="json") for entry in client.audit_events(model=request.model)],
            "verification": client.verify_audit_log().model_dump(mode="json"),
        }
    )


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)
