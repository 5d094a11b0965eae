"""`forgettery api-keys`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from app.cli.terminal import LOCAL, Json, Key, Url, an_id, body, connect, identified, print_json, show, show_list

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


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    scopes: Scopes = None,
    preset: Preset = None,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Create an API key; its secret is shown this once."""
    from app.schemas import ApiKeyCreate  # noqa: PLC0415  see terminal.connect

    chosen = list(dict.fromkeys([*(_PRESETS[preset] if preset else ()), *(scopes or ())]))
    if not chosen:
        raise typer.BadParameter("say what the key may do: --scope, or --preset auditor")
    with connect(url, key) as client:
        wanted = body(ApiKeyCreate, {"name": name, "scopes": chosen})
        show(client.create_api_key(wanted), as_json=as_json)


@app.command("list")
def list_api_keys(*, url: Url = LOCAL, key: Key = "", as_json: Json = False) -> None:
    """List the API keys, newest first, without their secrets."""
    with connect(url, key) as client:
        show_list(
            client.api_keys(),
            ("id", "name", "scopes", "created", "revoked"),
            lambda found: (found.id, found.name, ", ".join(found.scopes), found.created_at, found.revoked_at),
            as_json=as_json,
            newest_first=True,
        )


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, or its beginning.", callback=an_id, show_default=False)],
    *,
    url: Url = LOCAL,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Revoke an API key at once."""
    with connect(url, key) as client:
        found = identified(key_id, client.api_keys, "an API key")
        client.revoke_api_key(found)
    if as_json:
        print_json({"revoked": str(found)})
