"""`forgettery verify`: check certificates and exported logs offline, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.calls import Json
from app.cli.terminal import print_json
from app.errors import IntegrityViolation, InvalidInput, NotFound

if TYPE_CHECKING:
    from app.evidence.findings import Findings
    from app.evidence.keys import PublicKeys

app = typer.Typer(
    help="Check evidence offline: needs neither a server nor its database, only public keys. The server of this version "
    "makes neither certificates nor exported logs.",
    epilog="Exit codes: 0 it holds, 2 wrong usage, 3 no usable public keys, 5 no such folder, 9 it does not hold.",
    no_args_is_help=True,
)

Keys = Annotated[
    Path | None,
    typer.Option("--keys", help="JSON file with certificate_keys and log_keys.", show_default=False),
]
CertificateKey = Annotated[
    Path | None, typer.Option("--key", help="Public key of certificates, as PEM.", show_default=False)
]
LogKey = Annotated[
    Path | None, typer.Option("--log-key", help="Public key of the log: name+id+key.", show_default=False)
]


@app.command()
def certificate(
    folder: Annotated[Path, typer.Argument(help="Folder with certificate.sigstore.json and certificate.tlog-proof.")],
    *,
    model: Annotated[
        Path | None, typer.Option(help="Folder of the model's files, to be compared with it.", show_default=False)
    ] = None,
    keys: Keys = None,
    key: CertificateKey = None,
    log_key: LogKey = None,
    as_json: Json = False,
) -> None:
    """Check a certificate: its signature, its place in the log and, with --model, the model's files."""
    from app.evidence.certificate_check import check_certificate  # noqa: PLC0415  only who verifies needs cryptography

    for path in (folder, model):
        _demand_folder(path)
    trusted = _public_keys(keys, key, log_key, needs_certificate=True)
    _show(check_certificate(folder, trusted, model), as_json=as_json)


@app.command()
def log(
    folder: Annotated[Path, typer.Argument(help="Folder of an exported log (C2SP tlog-tiles).")],
    *,
    since: Annotated[
        Path | None, typer.Option(help="Checkpoint kept earlier, which the log must extend.", show_default=False)
    ] = None,
    keys: Keys = None,
    log_key: LogKey = None,
    as_json: Json = False,
) -> None:
    """Check an exported log: every entry, every tile, the signed root and, with --since, that nothing was rewritten."""
    from app.evidence.log_check import check_log  # noqa: PLC0415  only who verifies needs cryptography

    _demand_folder(folder)
    trusted = _public_keys(keys, None, log_key, needs_certificate=False)
    _show(check_log(folder, trusted.log, since), as_json=as_json)


def _demand_folder(path: Path | None) -> None:
    if path is not None and not path.is_dir():
        raise NotFound(f"{path} is not a folder")


def _public_keys(keys: Path | None, key: Path | None, log_key: Path | None, *, needs_certificate: bool) -> PublicKeys:
    """The keys of either kind of option; wrong usage unless it is exactly one of them."""
    from app.evidence.keys import PublicKeys, load_public_keys  # noqa: PLC0415  see above

    apart = "--key and --log-key" if needs_certificate else "--log-key"
    if keys is not None:
        if key or log_key:
            raise typer.BadParameter(f"give --keys or {apart}, not both")
        try:
            return PublicKeys.from_json(keys.read_text())
        except (OSError, UnicodeDecodeError) as fault:
            raise InvalidInput(f"{keys} cannot be read: {fault}") from fault
    if log_key is None or (needs_certificate and key is None):
        raise typer.BadParameter(f"a signature says nothing without a key that you trust: give --keys, or {apart}")
    return load_public_keys([key] if key else [], [log_key])


def _show(findings: Findings, *, as_json: bool) -> None:
    """Print the list of checks; raises IntegrityViolation where one does not hold."""
    if as_json:
        print_json(findings.as_json())
    else:
        for check in findings.checks:
            typer.echo(f"{check.number:2d}. {'holds' if check.failure is None else 'FAILS'}  {check.title}")
    failure = findings.failure
    if failure is not None:
        raise IntegrityViolation(f"{failure.reason}: {failure.detail}")
