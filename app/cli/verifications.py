"""`forgettery verifications`, and `verify` of `forgettery versions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.calls import Call, client_command
from app.cli.options import ForgetRequestId, Seed, Wait, identified_request
from app.cli.progress import wait
from app.cli.terminal import an_id, body, identified, print_json, print_table, show_list

if TYPE_CHECKING:
    from app.contract.verifying import (
        Verification,
        VerificationControl,
        VerificationMeasurement,
        VerificationRepetition,
    )

app = typer.Typer(help="List and show verifications.", no_args_is_help=True)
Depth = Literal["fast", "deep"]
_HELD = {True: "yes", False: "NO", None: "not judged"}


@client_command(app, "list")
def list_verifications(
    call: Call,
    *,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    version: Annotated[int | None, typer.Option(help="Only those of this version.", min=1)] = None,
    forget_request: ForgetRequestId = None,
    depth: Annotated[Depth | None, typer.Option(help="Only those of this depth.")] = None,
) -> None:
    """List verifications, newest first, those of every forget request among them."""
    with call.connect() as client:
        request = identified_request(client, forget_request)
        show_list(
            client.verifications(model=model, version=version, forget_request=request, depth=depth),
            ("id", "model", "version", "depth", "status", "forget request", "verdict", "claim"),
            lambda found: (
                found.id,
                found.model,
                found.version,
                found.depth,
                found.status,
                found.forget_request,
                found.verdict,
                found.claim,
            ),
            as_json=call.as_json,
            newest_first=True,
        )


@client_command(app, "show")
def show_one(
    call: Call,
    verification_id: Annotated[
        str, typer.Argument(help="Id of the verification, or its beginning.", callback=an_id, show_default=False)
    ],
) -> None:
    """Show one verification: verdict, criteria, control, and what it does not prove."""
    with call.connect() as client:
        found = identified(verification_id, client.verifications, "a verification")
        show_verification(client.verification(found), as_json=call.as_json)


def verify(
    call: Call,
    name: Annotated[str, typer.Argument(help="Name of the model.", show_default=False)],
    number: Annotated[int, typer.Argument(help="Number of the version.", min=1, show_default=False)],
    *,
    depth: Annotated[Depth | None, typer.Option(help="How much is looked at.")] = None,
    num_references: Annotated[int | None, typer.Option(help="Retrained models to compare with.", min=1, max=10)] = None,
    reference: Annotated[
        Literal["wait", "cached", "none"] | None, typer.Option(help="Retrain, use those there are, or none.")
    ] = None,
    forget_request: Annotated[
        str | None,
        typer.Option(help="What was forgotten, by an id or its beginning; else the latest request.", callback=an_id),
    ] = None,
    repeat: Annotated[
        bool, typer.Option("--repeat", help="Carry its method out once more, and compare the weights bit by bit.")
    ] = False,
    seed: Seed = None,
    wait_for_it: Wait = True,
) -> None:
    """Verify what a version has forgotten, beside the original and retrained models."""
    from app.contract.verifying import VerifyCreate  # noqa: PLC0415  see Call.connect

    with call.connect() as client:
        asked = {
            "depth": depth,
            "num_references": num_references,
            "reference": reference,
            "forget_request": identified_request(client, forget_request),
            "repeat": repeat,
            "seed": seed,
        }
        found = client.verify(name, number, body(VerifyCreate, asked))
        if wait_for_it:
            wait(client, found.job)
            found = client.verification(found.id)
        show_verification(found, as_json=call.as_json)


def show_verification(found: Verification, *, as_json: bool) -> None:
    """Print verdict and claim, then a table of criteria, their figures, the control, and what is not proven."""
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    typer.echo(f"verification {found.id} of {found.model}, version {found.version or 'none'}: {found.status}")
    report = found.report
    if report is None:
        typer.echo(f"follow it with: forgettery jobs watch {found.job.id}")
        return
    typer.echo(f"{report.depth}: verdict {report.verdict}, evidence for the claim {report.claim or 'none'}")
    if report.repetition is not None:
        typer.echo(_repetition(report.repetition))
    criteria = [
        (each.number, each.name, each.needed_for, _HELD[each.passed], each.statement) for each in report.criteria
    ]
    print_table("Criteria", ("", "criterion", "needed for", "held", "what must hold"), criteria)
    figures = [_figure(each.number, found) for each in report.criteria for found in each.measurements]
    columns = ("", "figure", "where", "value", "original", "retrained", "threshold", "held", "power")
    print_table("Figures", columns, figures)
    _show_control(report.control)
    print_table("What this does not prove", ("",), [(sentence,) for sentence in report.does_not_prove])


def _repetition(found: VerificationRepetition) -> str:
    if found.equal is None:
        return f"not repeated: {found.why_not}"
    return f"repeated: {'the same weights, bit by bit' if found.equal else 'OTHER WEIGHTS than those of the version'}"


def _figure(number: int, found: VerificationMeasurement) -> tuple[object, ...]:
    place = [part for part in (found.place.set, found.place.layer, found.place.setting) if part]
    retrained = sum(found.retrained.values()) / len(found.retrained) if found.retrained else None
    bounds = [f"≥ {found.at_least:.4f}"] if found.at_least is not None else []
    bounds += [f"≤ {found.at_most:.4f}"] if found.at_most is not None else []
    held = _HELD[found.passed]
    power = "no power" if found.power is False else "yes" if found.power else None
    threshold = ", ".join(bounds) or None
    return number, found.metric, ", ".join(place), found.value, found.original, retrained, threshold, held, power


def _show_control(control: VerificationControl) -> None:
    rows: list[tuple[object, ...]] = [
        ("the original fails", _HELD[control.original_fails], ", ".join(control.failed_by_original) or None)
    ]
    for seed, passed in control.retrained_pass.items():
        rows.append((f"retrained {seed} passes", _HELD[passed], ", ".join(control.failed_by_retrained[seed]) or None))
    power = f"{control.num_with_power} of {control.num_figures}"
    rows.append(("figures with power, which alone support a claim", power, None))
    print_table("Control, by the same criteria", ("", "held", "what failed"), rows)
