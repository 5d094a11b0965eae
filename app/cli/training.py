"""`forgettery train` and `train-further`."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli.calls import Call, client_command
from app.cli.options import Name, Seed, Tasks, Wait, from_json, numbers
from app.cli.progress import say, wait
from app.cli.terminal import body, present, show
from app.errors import InvalidInput

if TYPE_CHECKING:
    from app.client import Client
    from app.contract.models import ModelAndJob

app = typer.Typer()
Mode = Literal["standard", "synaptic_intelligence", "progressive", "sisa"]
_OPTIONS_OF_MODE: dict[Mode, set[str]] = {
    "standard": set(),
    "synaptic_intelligence": {"tasks", "c", "xi"},
    "progressive": {"tasks", "growth"},
    "sisa": {"shards", "slices"},
}
ArchitectureGiven = Annotated[
    str | None,
    typer.Option(help="A name of `forgettery architectures`, or its JSON; default: an mlp.", show_default=False),
]
EarlyStopping = Annotated[
    int | None, typer.Option(help="Epochs without a better calibration loss; 0: never.", show_default=False)
]
Epochs = Annotated[
    int | None,
    typer.Option(help="Passes over the training rows, of every task where there are any.", show_default=False),
]
Hidden = Annotated[
    list[Any] | None,
    typer.Option(
        parser=numbers, metavar="WIDTHS", help="Widths of the hidden layers of an mlp, gru or lstm, like 50,50."
    ),
]
Growth = Annotated[
    list[Any] | None,
    typer.Option(
        parser=numbers, metavar="WIDTHS", help="Units that a further task adds to each hidden layer (progressive)."
    ),
]
C = Annotated[
    float | None,
    typer.Option("--c", help="How strongly earlier tasks are held (synaptic_intelligence).", show_default=False),
]
Xi = Annotated[
    float | None,
    typer.Option(help="Damps the importance of weights that hardly moved (likewise).", show_default=False),
]
Shards = Annotated[
    int | None,
    typer.Option(help="Networks that each learn rows of their own (sisa).", show_default=False),
]
Slices = Annotated[
    int | None,
    typer.Option(help="Parts of each shard, learned with a checkpoint after each (sisa).", show_default=False),
]


@client_command(app)
def train(
    call: Call,
    name: Name,
    *,
    dataset: Annotated[str, typer.Option(help="See `forgettery datasets`.")] = "mnist",
    architecture: ArchitectureGiven = None,
    hidden: Hidden = None,
    mode: Annotated[Mode, typer.Option(help="All classes together, tasks, or shards of the rows.")] = "standard",
    tasks: Tasks = None,
    growth: Growth = None,
    c: C = None,
    xi: Xi = None,
    shards: Shards = None,
    slices: Slices = None,
    epochs: Epochs = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows per step.", show_default=False)] = None,
    optimizer: Annotated[Literal["adam", "sgd"] | None, typer.Option(show_default=False)] = None,
    learning_rate: Annotated[float | None, typer.Option(show_default=False)] = None,
    momentum: Annotated[float | None, typer.Option(help="Momentum of sgd.", show_default=False)] = None,
    weight_decay: Annotated[float | None, typer.Option(show_default=False)] = None,
    schedule: Annotated[Literal["constant", "cosine"] | None, typer.Option(show_default=False)] = None,
    early_stopping: EarlyStopping = None,
    seed: Seed = None,
    wait_for_it: Wait = True,
) -> None:
    """Create a model and train its first version."""
    from app.contract.models import ModelCreate  # noqa: PLC0415  see Call.connect

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
    options = {
        "tasks": tasks or None,
        "growth": _flat(growth),
        "c": c,
        "xi": xi,
        "shards": shards,
        "slices": slices,
    }
    asked = {
        "name": name,
        "dataset": dataset,
        "architecture": _architecture(architecture, _flat(hidden)),
        "learning": _learning(mode, options),
        "training": present(training) or None,
    }
    with call.connect() as client:
        started = client.create_model(body(ModelCreate, asked))
        _finish(client, started, wait_for_it=wait_for_it, as_json=call.as_json)


@client_command(app, "train-further")
def train_further(
    call: Call,
    name: Name,
    *,
    tasks: Tasks = None,
    epochs: Epochs = None,
    learning_rate: Annotated[float | None, typer.Option(show_default=False)] = None,
    seed: Seed = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start from fresh weights.")] = False,
    classes: Annotated[list[int] | None, typer.Option("--class", help="Learn from these classes alone.")] = None,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Let the new version serve.")] = True,
    wait_for_it: Wait = True,
) -> None:
    """Train a new version: on what the model has not forgotten, or a further task; the rest stays as first trained."""
    from app.contract.training import TrainRequest  # noqa: PLC0415  see Call.connect

    asked = {
        "training": present({"epochs": epochs, "learning_rate": learning_rate, "seed": seed}) or None,
        "from_scratch": from_scratch,
        "classes": classes or None,
        "tasks": tasks or None,
        "serve": serve,
    }
    with call.connect() as client:
        started = client.train(name, body(TrainRequest, asked))
        _finish(client, started, wait_for_it=wait_for_it, as_json=call.as_json)


def _finish(client: Client, started: ModelAndJob, *, wait_for_it: bool, as_json: bool) -> None:
    if not wait_for_it:
        show(started.job, as_json=as_json)
        return
    result = wait(client, started.job).result or {}
    number = result.get("version")
    if not isinstance(number, int):
        raise InvalidInput("the job names no version; is the server newer than this client?")
    if result.get("warning"):
        say(f"Warning: {result['warning']}")
    show(client.version(started.model.name, number), as_json=as_json, leave_out=("manifest", "metrics"))


def _flat(values: list[Any] | None) -> list[int] | None:
    """All numbers of an option that can be repeated, each time with several numbers; None if it was not given."""
    return list(chain.from_iterable(values)) if values else None


def _architecture(wanted: str | None, hidden: list[int] | None) -> dict[str, Any] | None:
    """The architecture that was asked for; None where none was: each mode has a default of its own."""
    if wanted is None and hidden is None:
        return None
    named = wanted or "mlp"
    architecture = from_json("--architecture", named) if named.startswith("{") else {"type": named}
    return architecture | present({"hidden": hidden})


def _learning(mode: Mode, options: dict[str, Any]) -> dict[str, Any]:
    given = present(options)
    odd = sorted("--task" if option == "tasks" else f"--{option}" for option in given.keys() - _OPTIONS_OF_MODE[mode])
    if odd:
        raise typer.BadParameter(f"--mode {mode} takes no {', '.join(odd)}")
    return {"mode": mode, **given}
