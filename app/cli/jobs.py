"""`forgettery jobs`."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import typer

from app.cli.progress import wait
from app.cli.terminal import LOCAL, Json, Key, Url, connect, show, show_list

app = typer.Typer(help="List, show, watch and cancel jobs.", no_args_is_help=True)
JobId = Annotated[UUID, typer.Argument(help="Id of the job.", show_default=False)]
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]


@app.command("list")
def list_jobs(
    *,
    status: Annotated[Status | None, typer.Option(help="Only those in this status.")] = None,
    kind: Annotated[
        Literal["train", "forget", "reference", "verify", "compare"] | None,
        typer.Option(help="Only those of this kind."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """List jobs."""
    with connect(url, key) as client:
        show_list(
            client.jobs(status=status, kind=kind, model=model),
            ("id", "kind", "model", "status", "done", "created"),
            lambda job: (job.id, job.kind, job.model, job.status, job.progress.fraction, job.created_at),
            as_json=as_json,
        )


@app.command("show")
def show_job(job_id: JobId, *, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """Show one job."""
    with connect(url, key) as client:
        show(client.job(job_id), as_json=as_json)


@app.command()
def watch(job_id: JobId, *, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """Wait until a job has ended, with a progress bar; fails as the job failed."""
    with connect(url, key) as client:
        show(wait(client, client.job(job_id)), as_json=as_json)


@app.command()
def cancel(job_id: JobId, *, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """Ask a job to stop."""
    with connect(url, key) as client:
        show(client.cancel_job(job_id), as_json=as_json)
