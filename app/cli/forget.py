"""`forgettery forget`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.calls import Call, client_command
from app.cli.forget_requests import target_in_words
from app.cli.options import Name, SamplesFile, Seed, Wait, from_json, rows_of
from app.cli.progress import say, wait
from app.cli.reports import show_report
from app.cli.terminal import body, present, print_json, print_table
from app.errors import GateMissed

if TYPE_CHECKING:
    from app.contract.forgetting import ForgetPlan, ForgetRequest

app = typer.Typer()

Classes = Annotated[
    list[int] | None, typer.Option("--class", help="Index of a class, with --task one of its own; repeat.")
]
Tasks = Annotated[
    list[int] | None, typer.Option("--task", help="Index of a task, from 0: all of it without --class; repeat.")
]
Samples = Annotated[list[int] | None, typer.Option("--sample", help="Row of the training file, from 0; repeat.")]
Refusal = Annotated[
    Literal["none", "calibrate", "push", "guard"] | None, typer.Option(help="How predict comes to answer 0.")
]
Reference = Annotated[Literal["wait", "cached", "none"] | None, typer.Option(help="A retrained model to compare with.")]
MinClaim = Annotated[
    Literal["suppressed", "edited", "approximate", "exact"] | None,
    typer.Option(help="Publish no result that may claim less."),
]


@client_command(app)
def forget(
    call: Call,
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
) -> None:
    """Make a model forget classes, tasks, part of a task or samples, and say what that did to it."""
    from app.contract.forgetting import ForgetCreate  # noqa: PLC0415  see Call.connect

    rows = [*(samples or []), *rows_of(samples_file)]
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
    with call.connect() as client:
        wanted = body(ForgetCreate, asked)
        plan = client.plan_forget(name, wanted) if dry_run or wanted.method == "auto" else None
        if plan is not None and dry_run:
            _show_plan(plan, as_json=call.as_json)
            return
        if plan is not None:
            say(f"auto chooses {plan.method}: {plan.why}")
        request = client.forget(name, wanted)
        if wait_for_it:
            wait(client, request.job)
            request = client.forget_request(request.id)
        show_report(request, as_json=call.as_json)
    if request.verdict == "failed":
        say(_after_a_miss(request, plan))
        missed = ", ".join((request.job.result or {}).get("missed", ())) or "the effect gate"
        raise GateMissed(f"missed: {missed}; version {request.parent_version} serves on")


def _show_plan(plan: ForgetPlan, *, as_json: bool) -> None:
    """Print what would happen, what it would cost, why it may fail, and every method that could be used."""
    if as_json:
        print_json(plan.model_dump(mode="json"))
        return
    fields = plan.model_dump(exclude={"target", "why", "warnings", "candidates"}).items()
    print_table("Nothing was changed. What would happen:", ("", ""), [("target", target_in_words(plan)), *fields])
    typer.echo(f"Why {plan.method}: {plan.why}")
    for warning in plan.warnings:
        typer.echo(f"Warning: {warning}")
    candidates = [
        (each.method, each.claim, each.expected_seconds, each.applicable, " ".join(why.detail for why in each.reasons))
        for each in plan.candidates
    ]
    print_table("Methods, in the server's order", ("method", "claim", "seconds", "applies", "why not"), candidates)


def _after_a_miss(request: ForgetRequest, plan: ForgetPlan | None) -> str:
    """What to do next: the candidate after the one that `auto` took, or a look at all of them."""
    others = (
        [each.method for each in plan.candidates if each.applicable and each.method != request.method] if plan else []
    )
    following = f"The next in the server's order is {others[0]}: repeat with --method {others[0]}. " if others else ""
    return (
        f"{request.method} did not do it, and nothing was published. {following}"
        f"`forgettery compare {request.model}` with the same target measures all methods side by side; "
        "`--method retrain` forgets exactly, at the price of a training."
    )
