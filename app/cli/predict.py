"""`forgettery predict`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli.calls import Call, client_command
from app.cli.options import Name
from app.cli.terminal import print_json, print_table
from app.errors import UnreadableInput

if TYPE_CHECKING:
    from app.contract.predicting import Prediction

app = typer.Typer()


@client_command(app)
def predict(
    call: Call,
    name: Name,
    files: Annotated[
        list[Path], typer.Argument(help="PNG, JPEG, .npy or .json files; - reads standard input.", show_default=False)
    ],
    *,
    version: Annotated[int | None, typer.Option(help="Default: the serving one.")] = None,
    task: Annotated[
        int | None, typer.Option(help="Index of the task, from 0, whose classes alone can be the answer.")
    ] = None,
    on_forgotten: Annotated[
        Literal["zero", "token", "probabilities", "next_best"], typer.Option(help="What is answered if forgotten.")
    ] = "zero",
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Give every class's probability.")] = False,
    invert: Annotated[
        Literal["false", "true", "auto"],
        typer.Option(
            help="For images: take light for dark; digits are light on dark. auto: if the edge is light or the ink dark."
        ),
    ] = "false",
) -> None:
    """Classify images."""
    with call.connect() as client:
        answers = [
            (
                file,
                client.predict(
                    name,
                    _inputs(file),
                    version=version,
                    task=task,
                    on_forgotten=on_forgotten,
                    probabilities=probabilities,
                    invert=invert,
                ),
            )
            for file in files
        ]
    if call.as_json:
        print_json([{"file": str(file), **answer.model_dump(mode="json")} for file, answer in answers])
        return
    listed = ("probabilities",) if probabilities or on_forgotten == "probabilities" else ()
    rows = [
        (file, number, answer.version, *_prediction(prediction), *(getattr(prediction, name) for name in listed))
        for file, answer in answers
        for number, prediction in enumerate(answer.predictions)
    ]
    print_table("", ("file", "row", "version", "label", "forgotten", "class", "confidence", *listed), rows)


def _prediction(prediction: Prediction) -> tuple[object, ...]:
    return prediction.label, prediction.forgotten, prediction.class_name, prediction.confidence


def _inputs(file: Path) -> list[Any] | bytes:
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UnreadableInput(f"{file} cannot be read: {error.strerror}") from error
    if not content.lstrip().startswith((b"[", b"{")):
        return content
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise UnreadableInput(f"{file} is not JSON: {error}") from error
    return list(parsed["inputs"] if isinstance(parsed, dict) and "inputs" in parsed else parsed)
