"""`forgettery forget`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from app.cli.options import Name, Seed, Wait, from_json
from app.cli.progress import wait
from app.cli.reports import show_report
from app.cli.terminal import LOCAL, Json, Key, Url, body, connect, present, show
from app.errors import GateMissed

app = typer.Typer()


@app.command()
def forget(
    name: Name,
    *,
    classes: Annotated[
        list[int] | None, typer.Option("--class", help="Index of a class, with --task one of its own; repeat.")
    ] = None,
    tasks: Annotated[
        list[int] | None, typer.Option("--task", help="Index of a task, from 0: all of it without --class; repeat.")
    ] = None,
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
    """Make a model forget classes, tasks or part of a task, and say what that did to it."""
    from app.schemas import ForgetCreate  # noqa: PLC0415  see terminal.connect

    if not classes and not tasks:
        raise typer.BadParameter("name what to forget: --class, --task, or both for part of a task")
    asked = {
        "target": present({"classes": classes or None, "tasks": tasks or None}),
        "strategy": strategy,
        "scope": scope,
        "refusal": refusal,
        "parameters": from_json("--parameters", parameters),
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
