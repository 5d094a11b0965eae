"""`forgettery train`, `train-further`, `forget` and `predict`: the commands that wait for work."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli.progress import wait
from app.cli.reports import show_report
from app.cli.terminal import LOCAL, Json, Key, Url, body, connect, present, print_json, print_table, show
from app.errors import GateMissed, InvalidInput, UnreadableInput

if TYPE_CHECKING:
    from app.client import Client
    from app.schemas import ModelAndJob, Prediction

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="Name of the model.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the work has ended.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training rows.", show_default=False)]
BatchSize = Annotated[int | None, typer.Option(help="Rows per step.", show_default=False)]
Optimizer = Annotated[Literal["adam", "sgd"] | None, typer.Option(show_default=False)]
LearningRate = Annotated[float | None, typer.Option(show_default=False)]
Momentum = Annotated[float | None, typer.Option(help="Of sgd.", show_default=False)]
WeightDecay = Annotated[float | None, typer.Option(show_default=False)]
Schedule = Annotated[Literal["constant", "cosine"] | None, typer.Option(show_default=False)]
EarlyStopping = Annotated[
    int | None, typer.Option(help="Epochs without a better calibration loss; 0: never.", show_default=False)
]
Seed = Annotated[int | None, typer.Option(help="Fixes every random choice.", show_default=False)]


@app.command()
def train(
    name: Name,
    *,
    dataset: Annotated[str, typer.Option(help="See `forgettery datasets`.")] = "mnist",
    architecture: Annotated[str, typer.Option(help="A name of `forgettery architectures`, or its JSON.")] = "mlp",
    hidden: Annotated[list[int] | None, typer.Option(help="Width of a hidden layer of an mlp; repeat.")] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    optimizer: Optimizer = None,
    learning_rate: LearningRate = None,
    momentum: Momentum = None,
    weight_decay: WeightDecay = None,
    schedule: Schedule = None,
    early_stopping: EarlyStopping = None,
    seed: Seed = None,
    wait_for_it: Wait = True,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Create a model and train its first version."""
    from app.schemas import ModelCreate  # noqa: PLC0415  see terminal.connect

    training = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "early_stopping": early_stopping,
        "seed": seed,
    }
    asked = {"name": name, "dataset": dataset, "architecture": _architecture(architecture, hidden)}
    with connect(url, key) as client:
        started = client.create_model(body(ModelCreate, {**asked, "training": present(training)}))
        _finish_training(client, started, wait_for_it=wait_for_it, as_json=as_json)


@app.command("train-further")
def train_further(
    name: Name,
    *,
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    seed: Seed = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start from fresh weights.")] = False,
    classes: Annotated[list[int] | None, typer.Option("--class", help="Learn from these classes alone.")] = None,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Let the new version serve.")] = True,
    wait_for_it: Wait = True,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Train a new version of a model on what it has not forgotten; options left out stay as first trained."""
    from app.schemas import TrainRequest  # noqa: PLC0415  see terminal.connect

    changed = present({"epochs": epochs, "learning_rate": learning_rate, "seed": seed})
    with connect(url, key) as client:
        training = {**client.model(name).training, **changed} if changed else None
        asked = {"training": training, "from_scratch": from_scratch, "classes": classes, "serve": serve}
        started = client.train(name, body(TrainRequest, asked))
        _finish_training(client, started, wait_for_it=wait_for_it, as_json=as_json)


@app.command()
def forget(
    name: Name,
    classes: Annotated[list[int], typer.Option("--class", help="Index of a class to forget; repeat for several.")],
    *,
    strategy: Annotated[Literal["zero", "random"] | None, typer.Option(help="What replaces the weights.")] = None,
    scope: Annotated[Literal["output", "network"] | None, typer.Option(help="Which weights.")] = None,
    refusal: Annotated[
        Literal["none", "calibrate", "push"] | None, typer.Option(help="How predict comes to answer 0.")
    ] = None,
    parameters: Annotated[str, typer.Option(help="The method's parameters as JSON.")] = "{}",
    reason: Annotated[str | None, typer.Option(help="Kept with the request, never in the audit log.")] = None,
    seed: Seed = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen and cost.")] = False,
    wait_for_it: Wait = True,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Make a model forget classes, and say what that did to it."""
    from app.schemas import ForgetCreate  # noqa: PLC0415  see terminal.connect

    asked = {
        "target": {"classes": classes},
        "strategy": strategy,
        "scope": scope,
        "refusal": refusal,
        "parameters": _from_json("--parameters", parameters),
        "reason": reason,
        "seed": seed,
    }
    with connect(url, key) as client:
        wanted = body(ForgetCreate, asked)
        if dry_run:
            show(client.plan_forget(name, wanted), as_json=as_json)
            return
        request = client.forget(name, wanted)
        if wait_for_it:
            wait(client, request.job)
            request = client.forget_request(request.id)
        show_report(request, as_json=as_json)
    if request.verdict == "failed":
        raise GateMissed(f"the effect gate was missed; version {request.parent_version} serves on")


@app.command()
def predict(
    name: Name,
    files: Annotated[
        list[Path], typer.Argument(help="PNG, JPEG, .npy or .json files; - reads standard input.", show_default=False)
    ],
    *,
    version: Annotated[int | None, typer.Option(help="Default: the serving one.")] = None,
    on_forgotten: Annotated[
        Literal["zero", "token", "probabilities", "next_best"], typer.Option(help="What is answered if forgotten.")
    ] = "zero",
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Give every class's probability.")] = False,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Classify images."""
    with connect(url, key) as client:
        answers = [
            (
                file,
                client.predict(
                    name, _inputs(file), version=version, on_forgotten=on_forgotten, probabilities=probabilities
                ),
            )
            for file in files
        ]
    if as_json:
        print_json([{"file": str(file), **answer.model_dump(mode="json")} for file, answer in answers])
        return
    rows = [
        (file, number, answer.version, *_prediction(prediction))
        for file, answer in answers
        for number, prediction in enumerate(answer.predictions)
    ]
    print_table("", ("file", "row", "version", "label", "forgotten", "class", "confidence", "probabilities"), rows)


def _finish_training(client: Client, started: ModelAndJob, *, wait_for_it: bool, as_json: bool) -> None:
    if not wait_for_it:
        show(started.job, as_json=as_json)
        return
    result = wait(client, started.job).result or {}
    number = result.get("version")
    if not isinstance(number, int):
        raise InvalidInput("the job names no version; is the server newer than this client?")
    show(client.version(started.model.name, number), as_json=as_json, leave_out=("manifest", "metrics"))


def _prediction(prediction: Prediction) -> tuple[object, ...]:
    return (
        prediction.label,
        prediction.forgotten,
        prediction.class_name,
        prediction.confidence,
        prediction.probabilities,
    )


def _architecture(wanted: str, hidden: list[int] | None) -> dict[str, Any]:
    architecture = _from_json("--architecture", wanted) if wanted.startswith("{") else {"type": wanted}
    return architecture | present({"hidden": hidden or None})


def _from_json(option: str, value: str) -> dict[str, Any]:
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise InvalidInput(f"{option} is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise InvalidInput(f"{option} must be a JSON object")
    return parsed


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
