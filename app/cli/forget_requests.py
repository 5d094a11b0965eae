"""`forgettery forget-requests`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.calls import Call, client_command
from app.cli.reports import show_report
from app.cli.terminal import an_id, identified, show_list

if TYPE_CHECKING:
    from app.contract.forgetting import ForgetPlan, ForgetRequest

app = typer.Typer(help="List and show forget requests.", no_args_is_help=True)
Status = Literal["queued", "running", "completed", "failed", "cancelled"]


@client_command(app, "list")
def list_forget_requests(
    call: Call,
    *,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only those in this status.")] = None,
) -> None:
    """List forget requests, newest first."""
    with call.connect() as client:
        show_list(
            client.forget_requests(model=model, status=status),
            ("id", "model", "target", "status", "received", "method", "verdict", "claim", "version"),
            lambda request: (
                request.id,
                request.model,
                target_in_words(request),
                request.status,
                request.received_at,
                request.method,
                request.verdict,
                request.claim,
                request.version,
            ),
            as_json=call.as_json,
            newest_first=True,
        )


@client_command(app, "show")
def show_forget_request(
    call: Call,
    request_id: Annotated[
        str, typer.Argument(help="Id of the forget request, or its beginning.", callback=an_id, show_default=False)
    ],
) -> None:
    """Show what came of a forget request: its verdict and its report, all of it with --json."""
    with call.connect() as client:
        found = identified(request_id, client.forget_requests, "a forget request")
        show_report(client.forget_request(found), as_json=call.as_json)


def target_in_words(asked: ForgetRequest | ForgetPlan) -> str:
    """The classes and tasks by number, and the number of samples; short enough for a cell."""
    if asked.num_samples:
        return f"{asked.num_samples} samples"
    return "; ".join(f"{kind} {', '.join(map(str, wanted))}" for kind, wanted in asked.target.items())
