"""`forgettery api-keys`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from app.cli.calls import Call, client_command
from app.cli.terminal import an_id, body, identified, print_json, show, show_list

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)
_PRESETS = {"auditor": ["read", "audit"]}
Preset = Annotated[
    Literal["auditor"] | None,
    typer.Option(help="auditor: reads requests, verifications and the audit log (read and audit).", show_default=False),
]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help="read, predict, train, forget, audit or admin; repeat for several."),
]


@client_command(app)
def create(
    call: Call,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    scopes: Scopes = None,
    preset: Preset = None,
) -> None:
    """Create an API key; its secret is shown this once."""
    from app.contract.keys import ApiKeyCreate  # noqa: PLC0415  see Call.connect

    chosen = list(dict.fromkeys([*(_PRESETS[preset] if preset else ()), *(scopes or ())]))
    if not chosen:
        raise typer.BadParameter("say what the key may do: --scope, or --preset auditor")
    with call.connect() as client:
        wanted = body(ApiKeyCreate, {"name": name, "scopes": chosen})
        show(client.create_api_key(wanted), as_json=call.as_json)


@client_command(app, "list")
def list_api_keys(call: Call) -> None:
    """List the API keys, newest first, without their secrets."""
    with call.connect() as client:
        show_list(
            client.api_keys(),
            ("id", "name", "scopes", "created", "revoked"),
            lambda found: (found.id, found.name, ", ".join(found.scopes), found.created_at, found.revoked_at),
            as_json=call.as_json,
            newest_first=True,
        )


@client_command(app)
def revoke(
    call: Call,
    key_id: Annotated[str, typer.Argument(help="Id of the key, or its beginning.", callback=an_id, show_default=False)],
) -> None:
    """Revoke an API key at once."""
    with call.connect() as client:
        found = identified(key_id, client.api_keys, "an API key")
        client.revoke_api_key(found)
    if call.as_json:
        print_json({"revoked": str(found)})
