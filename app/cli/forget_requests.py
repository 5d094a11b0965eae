"""`forgettery forget-requests`."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import typer

from app.cli.terminal import LOCAL, Json, Key, Url, connect, show, show_list

app = typer.Typer(help="List and show forget requests.", no_args_is_help=True)
Status = Literal["queued", "running", "completed", "failed", "cancelled"]


@app.command("list")
def list_forget_requests(
    *,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only those in this status.")] = None,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """List forget requests."""
    with connect(url, key) as client:
        show_list(
            client.forget_requests(model=model, status=status),
            ("id", "model", "target", "method", "status", "verdict", "claim", "version"),
            lambda request: (
                request.id,
                request.model,
                request.target,
                request.method,
                request.status,
                request.verdict,
                request.claim,
                request.version,
            ),
            as_json=as_json,
        )


@app.command("show")
def show_forget_request(
    request_id: Annotated[UUID, typer.Argument(help="Id of the forget request.", show_default=False)],
    *,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Show one forget request; its report with --json."""
    with connect(url, key) as client:
        show(client.forget_request(request_id), as_json=as_json, leave_out=("report", "job"))
