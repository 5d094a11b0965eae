"""`forgettery jobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.progress import wait
from app.cli.terminal import LOCAL, Json, Key, Url, an_id, connect, identified, show, show_list

if TYPE_CHECKING:
    from uuid import UUID

    from app.client import Client
    from app.schemas import Job

app = typer.Typer(help="List, show, watch and cancel jobs.", no_args_is_help=True)
JobId = Annotated[str, typer.Argument(help="Id of the job, or its beginning.", callback=an_id, show_default=False)]
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
    """List jobs, newest first."""
    with connect(url, key) as client:
        show_list(
            client.jobs(status=status, kind=kind, model=model),
            ("id", "kind", "model", "status", "created"),
            lambda job: (job.id, job.kind, job.model, _status(job), job.created_at),
            as_json=as_json,
            newest_first=True,
        )


@app.command("show")
def show_job(job_id: JobId, *, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """Show one job."""
    with connect(url, key) as client:
        show(client.job(_id(client, job_id)), as_json=as_json)


@app.command()
def watch(job_id: JobId, *, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """Wait until a job has ended, with a progress bar; fails as the job failed."""
    with connect(url, key) as client:
        show(wait(client, client.job(_id(client, job_id))), as_json=as_json)


@app.command()
def cancel(job_id: JobId, *, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """Ask a job to stop."""
    with connect(url, key) as client:
        show(client.cancel_job(_id(client, job_id)), as_json=as_json)


def _id(client: Client, given: str) -> UUID:
    return identified(given, client.jobs, "a job")


def _status(job: Job) -> str:
    return f"running {job.progress.fraction:.0%}" if job.status == "running" else job.status
