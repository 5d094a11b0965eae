"""`forgettery jobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.calls import Call, client_command
from app.cli.progress import wait
from app.cli.terminal import an_id, identified, show, show_list

if TYPE_CHECKING:
    from uuid import UUID

    from app.client import Client
    from app.contract.jobs import Job

app = typer.Typer(help="List, show, watch and cancel jobs.", no_args_is_help=True)
JobId = Annotated[str, typer.Argument(help="Id of the job, or its beginning.", callback=an_id, show_default=False)]
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]


@client_command(app, "list")
def list_jobs(
    call: Call,
    *,
    status: Annotated[Status | None, typer.Option(help="Only those in this status.")] = None,
    kind: Annotated[
        Literal["train", "forget", "reference", "verify", "compare"] | None,
        typer.Option(help="Only those of this kind."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
) -> None:
    """List jobs, newest first."""
    with call.connect() as client:
        show_list(
            client.jobs(status=status, kind=kind, model=model),
            ("id", "kind", "model", "status", "created"),
            lambda job: (job.id, job.kind, job.model, _status(job), job.created_at),
            as_json=call.as_json,
            newest_first=True,
        )


@client_command(app, "show")
def show_job(call: Call, job_id: JobId) -> None:
    """Show one job."""
    with call.connect() as client:
        show(client.job(_id(client, job_id)), as_json=call.as_json)


@client_command(app)
def watch(call: Call, job_id: JobId) -> None:
    """Wait until a job has ended, with a progress bar; fails as the job failed."""
    with call.connect() as client:
        show(wait(client, client.job(_id(client, job_id))), as_json=call.as_json)


@client_command(app)
def cancel(call: Call, job_id: JobId) -> None:
    """Ask a job to stop."""
    with call.connect() as client:
        show(client.cancel_job(_id(client, job_id)), as_json=call.as_json)


def _id(client: Client, given: str) -> UUID:
    return identified(given, client.jobs, "a job")


def _status(job: Job) -> str:
    return f"running {job.progress.fraction:.0%}" if job.status == "running" else job.status
