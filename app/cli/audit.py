"""`forgettery audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.calls import Call, client_command
from app.cli.options import ForgetRequestId, identified_request
from app.cli.terminal import print_json, print_table, show_list
from app.errors import IntegrityViolation

if TYPE_CHECKING:
    from app.contract.audit import AuditVerification

app = typer.Typer(help="Read the audit log and have it verified.", no_args_is_help=True)


@client_command(app, "list")
def list_events(
    call: Call,
    *,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    event: Annotated[str | None, typer.Option(help="Only those of this kind, e.g. forget.completed.")] = None,
    forget_request: ForgetRequestId = None,
) -> None:
    """List the entries of the audit log, newest first; oldest first with --json."""
    with call.connect() as client:
        request = identified_request(client, forget_request)
        show_list(
            client.audit_events(model=model, event=event, forget_request=request),
            ("index", "at", "event", "model", "version", "actor", "leaf hash"),
            lambda entry: (
                entry.index,
                entry.at,
                entry.event,
                entry.model,
                entry.version,
                entry.actor,
                entry.leaf_hash[:8] + "…",
            ),
            as_json=call.as_json,
            newest_first=True,
        )


@client_command(app)
def prove(
    call: Call, index: Annotated[int, typer.Argument(help="Index of the entry.", min=0, show_default=False)]
) -> None:
    """Print the proof that an entry is in the log: a C2SP tlog-proof, which holds the entry and the checkpoint."""
    with call.connect() as client:
        found = client.audit_proof(index)
    if call.as_json:
        print_json(found.model_dump(mode="json"))
        return
    from app.evidence.encoding import decode_base64  # noqa: PLC0415  see Call.connect
    from app.evidence.proof import Proof  # noqa: PLC0415  see Call.connect

    hashes = tuple(bytes.fromhex(each) for each in found.hashes)
    proof = Proof(found.log_index, hashes, found.checkpoint.encode(), decode_base64(found.entry))
    typer.echo(proof.to_bytes().decode(), nl=False)


@client_command(app)
def checkpoint(call: Call) -> None:
    """Print the newest checkpoint of the log, a signed note, to be kept for `forgettery verify log --since`."""
    with call.connect() as client:
        note = client.audit_checkpoint()
    if call.as_json:
        print_json({"checkpoint": note})
    else:
        typer.echo(note, nl=False)


@client_command(app)
def keys(call: Call) -> None:
    """Print the public keys of the log as JSON, to be kept for `forgettery verify certificate --keys`."""
    with call.connect() as client:
        print_json(client.audit_keys().model_dump(mode="json"))


@client_command(app)
def verify(call: Call) -> None:
    """Have the server recompute the whole log; fails when an entry, its triggers or the tables it tells of do not hold."""
    with call.connect() as client:
        result = client.verify_audit_log()
    if call.as_json:
        print_json(result.model_dump(mode="json"))
    else:
        state = "BROKEN" if _changed(result) else "every entry holds" if result.ok else "every entry holds, BUT"
        typer.echo(f"{result.size} entries, root {result.root}: {state}")
        if result.problems:
            rows = [(fault.index, fault.column, fault.reason) for fault in result.problems]
            print_table("", ("index", "column", "reason"), rows)
    if not result.ok:
        raise IntegrityViolation(_what_to_do(result))


def _changed(result: AuditVerification) -> bool:
    """Whether the log itself does not hold."""
    return any(fault.column is not None and "." not in fault.column for fault in result.problems)


def _what_to_do(result: AuditVerification) -> str:
    advice = []
    if _changed(result):
        advice.append("the audit log was changed; compare it with a backup or an exported copy")
    if any(fault.column is None for fault in result.problems):
        advice.append(
            "what keeps the audit log from being changed is missing or altered; restore the triggers, and ask who did it"
        )
    if any("." in (fault.column or "") for fault in result.problems):
        advice.append("tables contradict the audit log; compare the rows named with a backup, and trust the log")
    return "; ".join(advice)
