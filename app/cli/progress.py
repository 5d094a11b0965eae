"""What a person is told on standard error meanwhile: sentences, and a bar for a job that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from app.cli.calls import LOCAL
from app.cli.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from app.client import Client
    from app.contract.jobs import Job


def say(sentence: str) -> None:
    """Print a sentence on standard error."""
    typer.echo(sentence, err=True)


def wait(client: Client, job: Job) -> Job:
    """Wait until the job has ended well, and show how far it is; raises what it failed with.

    If a person interrupts the waiting, the command says that the job goes on, and ends.
    """
    from rich.console import Console  # noqa: PLC0415  only commands that wait need it
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415  for the same reason

    columns = (
        TextColumn("{task.fields[kind]} {task.fields[model]}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("", total=1.0, kind=job.kind, model=job.model)

        def advance(state: Job) -> None:
            done = 1.0 if state.status == "succeeded" else state.progress.fraction
            bars.update(bar, completed=done, description=_where(state))

        try:
            return client.wait_for_job(job, on_progress=advance)
        except KeyboardInterrupt as interrupt:
            bars.stop()
            say(f"\nStopped waiting; the {job.kind} job {job.id} goes on.\n{how_to_follow(client, job)}")
            raise typer.Exit(INTERRUPTED) from interrupt


def how_to_follow(client: Client, job: Job) -> str:
    """The commands that watch and cancel a job, as this terminal has to give them."""
    where = "" if client.url == LOCAL else f" --url {client.url}"
    return (
        f"Watch it with: forgettery jobs watch {job.id}{where}\nCancel it with: forgettery jobs cancel {job.id}{where}"
    )


def _where(job: Job) -> str:
    if job.status != "running":
        return job.status
    return f"{job.progress.stage}: {job.progress.message}" if job.progress.message else job.progress.stage
