"""`forgettery forget`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli.options import Name, Seed, Wait, from_json
from app.cli.progress import wait
from app.cli.reports import show_report
from app.cli.terminal import LOCAL, Json, Key, Url, body, connect, present, show
from app.errors import GateMissed, InvalidInput

app = typer.Typer()

Classes = Annotated[
    list[int] | None, typer.Option("--class", help="Index of a class, with --task one of its own; repeat.")
]
Tasks = Annotated[
    list[int] | None, typer.Option("--task", help="Index of a task, from 0: all of it without --class; repeat.")
]
Samples = Annotated[list[int] | None, typer.Option("--sample", help="Row of the training file, from 0; repeat.")]
SamplesFile = Annotated[Path | None, typer.Option(help="A file of such rows, one a line.", exists=True, dir_okay=False)]
Refusal = Annotated[
    Literal["none", "calibrate", "push", "guard"] | None, typer.Option(help="How predict comes to answer 0.")
]
Reference = Annotated[Literal["wait", "cached", "none"] | None, typer.Option(help="A retrained model to compare with.")]
MinClaim = Annotated[
    Literal["suppressed", "edited", "approximate", "exact"] | None,
    typer.Option(help="Publish no result that may claim less."),
]


@app.command()
def forget(
    name: Name,
    *,
    classes: Classes = None,
    tasks: Tasks = None,
    samples: Samples = None,
    samples_file: SamplesFile = None,
    method: Annotated[str | None, typer.Option(help="See `forgettery methods`; auto chooses one.")] = None,
    strategy: Annotated[Literal["zero", "random"] | None, typer.Option(help="What replaces the weights.")] = None,
    scope: Annotated[Literal["output", "network"] | None, typer.Option(help="Which weights.")] = None,
    refusal: Refusal = None,
    guard: Annotated[str | None, typer.Option(help="Parameters of the refusal guard as JSON.")] = None,
    reference: Reference = None,
    num_references: Annotated[int | None, typer.Option(help="How many of them, 1 to 10.")] = None,
    parameters: Annotated[str, typer.Option(help="The method's parameters as JSON.")] = "{}",
    max_seconds: Annotated[float | None, typer.Option(help="With auto: choose what ends within this time.")] = None,
    min_claim: MinClaim = None,
    reason: Annotated[str | None, typer.Option(help="Kept with the request, never in the audit log.")] = None,
    seed: Seed = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen and cost.")] = False,
    wait_for_it: Wait = True,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Make a model forget classes, tasks, part of a task or samples, and say what that did to it."""
    from app.schemas import ForgetCreate  # noqa: PLC0415  see terminal.connect

    rows = [*(samples or []), *(_rows_of(samples_file) if samples_file else [])]
    if not classes and not tasks and not rows:
        raise typer.BadParameter("name what to forget: --class, --task, both for part of a task, or --sample")
    asked = {
        "target": present({"classes": classes or None, "tasks": tasks or None, "samples": rows or None}),
        "method": method,
        "strategy": strategy,
        "scope": scope,
        "refusal": refusal,
        "guard": from_json("--guard", guard) if guard else None,
        "reference": reference,
        "num_references": num_references,
        "parameters": from_json("--parameters", parameters),
        "max_seconds": max_seconds,
        "min_claim": min_claim,
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
        missed = ", ".join((request.job.result or {}).get("missed", ())) or "the effect gate"
        raise GateMissed(f"missed: {missed}; version {request.parent_version} serves on")


def _rows_of(path: Path) -> list[int]:
    """The row numbers in a file, one a line; empty lines count for nothing."""
    try:
        return [int(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as row numbers, one a line") from error
