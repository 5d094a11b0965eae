"""Commands that ask a server: the three options that each of them takes are said here, once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

if TYPE_CHECKING:
    from app.client import Client

LOCAL = "http://127.0.0.1:8000"
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output; progress stays on standard error.")]
_Own = ParamSpec("_Own")


@dataclass(frozen=True)
class Call:
    """Which server a command asks, with which key, and whether it prints the answer as JSON."""

    url: Annotated[str, typer.Option("--url", envvar="FORGETTERY_URL", help="The server's address.")] = LOCAL
    key: Annotated[str, typer.Option("--key", envvar="FORGETTERY_KEY", help="An API key.", show_default=False)] = ""
    as_json: Json = False

    def connect(self) -> Client:
        """A client of the server; imported here because httpx and pydantic would double the time of `--help`."""
        from app.client import Client  # noqa: PLC0415  see above

        return Client(self.url, self.key or None)


def client_command(
    app: typer.Typer, name: str | None = None
) -> Callable[[Callable[Concatenate[Call, _Own], None]], Callable[Concatenate[Call, _Own], None]]:
    """Make a function a command of `app`: the options of `Call` follow its own, and it is given the call they make."""

    def register(command: Callable[Concatenate[Call, _Own], None]) -> Callable[Concatenate[Call, _Own], None]:
        app.command(name)(_with_options_of_call(command))
        return command

    return register


def _with_options_of_call(command: Callable[..., None]) -> Callable[..., None]:
    options = inspect.signature(Call, eval_str=True).parameters

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        call = Call(**{option: given.pop(option) for option in options})
        command(call, **given)

    signature = inspect.signature(command, eval_str=True)
    _, *own = signature.parameters.values()
    shared = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options.values()]
    with_options.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]  # typer reads it
    return with_options
