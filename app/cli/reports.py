"""A forget request's report for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from app.cli.terminal import print_json, print_table

if TYPE_CHECKING:
    from app.schemas import ForgetRequest

_FIGURES = (
    "forget_accuracy",
    "retain_accuracy",
    "test_accuracy",
    "refusal_rate",
    "false_refusal_rate",
    "raw_forget_accuracy",
    "raw_test_accuracy",
    "sparsity",
)


def show_report(request: ForgetRequest, *, as_json: bool) -> None:
    """What came of a forget request: its verdict, and the figures before and after."""
    if as_json:
        print_json(request.model_dump(mode="json"))
        return
    typer.echo(f"forget request {request.id}: {request.status}")
    report = request.report
    if report is None:
        typer.echo(f"follow it with: forgettery jobs watch {request.job.id}")
        return
    typer.echo(f"verdict {request.verdict}, claim {request.claim}, version {request.version or 'none'}")
    rows = [(name, getattr(report.before, name), getattr(report.after, name)) for name in _FIGURES]
    print_table("", ("", "before", "after"), rows)
    criteria = [(found.name, found.value, found.threshold, "yes" if found.passed else "NO") for found in report.gate]
    print_table("What the effect gate demanded", ("criterion", "value", "threshold", "held"), criteria)
