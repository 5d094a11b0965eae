"""`forgettery serve`, `worker` and `db`: the commands that need the extra `server`, which they import when they run."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.terminal import present
from app.errors import FieldError, InvalidInput, Unavailable
from app.processes.lifelines import end_with_parent

if TYPE_CHECKING:
    from app.settings import Settings

app = typer.Typer()
database = typer.Typer(help="Migrate the database.", no_args_is_help=True)
app.add_typer(database, name="db")
signing = typer.Typer(help="Make, rotate and retire the keys that sign for the audit log.", no_args_is_help=True)
app.add_typer(signing, name="signing-keys")


@app.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="FORGETTERY_HOST")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="FORGETTERY_PORT")] = None,
    end_with: Annotated[int | None, typer.Option(hidden=True, help="Pid of the parent to end with.")] = None,
) -> None:
    """Start the server with its worker; an embedded database is migrated first. Stops cleanly on SIGTERM."""
    if end_with is not None:
        end_with_parent(end_with)  # before anything slow is done
    main = server_part("app.main")
    main.serve(settings(host=host, port=port))


@app.command()
def worker() -> None:
    """Start a worker without a server, for a server with FORGETTERY_WORKER=external. Stops cleanly on SIGTERM."""
    main = server_part("app.main")
    main.work(settings())


@database.command()
def upgrade() -> None:
    """Bring the database of FORGETTERY_DATABASE_URL to the schema of this version; safe to repeat."""
    migrate, home = server_part("app.database.migrate"), server_part("app.service.home")
    chosen = settings()
    home.keep_private()
    if chosen.embedded_database:
        home.make_home(chosen.home)
    migrate.upgrade(chosen.resolved_database_url)
    typer.echo(f"the database is at revision {migrate.newest()}", err=True)


@signing.command()
def init() -> None:
    """Make the first keys that sign checkpoints and certificates; an embedded server does this by itself."""
    _report(_signing_keys().init)


@signing.command()
def rotate() -> None:
    """Make newer signing keys; older ones go on signing checkpoints, beside them, until they are retired."""
    _report(_signing_keys().rotate)


@signing.command()
def retire(number: Annotated[int, typer.Argument(help="Number of the keys.", min=1, show_default=False)]) -> None:
    """Destroy the private halves of older signing keys; what they signed still holds."""
    _report(lambda chosen, opened: _signing_keys().retire(chosen, opened, number))


@signing.command("list")
def list_signing_keys() -> None:
    """List the signing keys of this machine, the oldest first."""
    keys = server_part("app.audit.signing_keys")
    for each in keys.generations(settings().resolved_signing_keys):
        state = "retired" if each.retired else "signs"
        typer.echo(f"{each.number}  {state}  {each.created_at:%Y-%m-%d %H:%M}  {each.public.log[0]}")


def _signing_keys() -> ModuleType:
    return server_part("app.operations.administration.signing_keys")


def _report(change: Callable[[Settings, Any], Any]) -> None:
    """Carry a change of the signing keys out, which the audit log tells of, and say which keys it was about."""
    chosen, engine, home = settings(), server_part("app.database.engine"), server_part("app.service.home")
    server_part("app.database.migrate").check_revision(chosen.resolved_database_url)
    home.keep_private()
    opened = engine.Database(chosen.resolved_database_url)
    try:
        changed = change(chosen, opened)
    finally:
        opened.dispose()
    typer.echo(f"signing keys {changed.number} of {changed.public.log[0].name} in {changed.folder}", err=True)


def server_part(name: str) -> ModuleType:
    """A module of the server; raises Unavailable with what to install when the base install alone is here."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "app":
            raise
        raise Unavailable(
            f"this needs {error.name}; install the extra `server`: pip install '.[server]' in the clone that this comes from"
        ) from error


def settings(*, host: str | None = None, port: int | None = None) -> Settings:
    """The settings of the environment, with what the command line says instead; raises InvalidInput for bad ones."""
    kind: type[Settings] = server_part("app.settings").Settings
    from pydantic import ValidationError  # noqa: PLC0415  with the settings, not before

    given = present({"host": host, "port": port})
    try:
        return kind(**given)
    except ValidationError as error:
        faults = [
            FieldError("FORGETTERY_" + "_".join(map(str, fault["loc"])).upper(), fault["msg"])
            for fault in error.errors(include_input=False)
        ]
        raise InvalidInput("a setting is not valid", errors=faults) from error
