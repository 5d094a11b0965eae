"""Figures for a person: what a forget request did, how a version behaves, and both by task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from app.cli.terminal import print_json, print_table, show

if TYPE_CHECKING:
    from app.client import Client
    from app.contract.forgetting import ForgetReport, ForgetRequest
    from app.contract.models import Forgotten
    from app.contract.versions import Version, VersionMetrics
    from app.specs.reports import TaskMeasurements

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
_METRICS = (
    "test_accuracy",
    "sparsity",
    "num_parameters",
    "training_seconds",
    "average_forgetting",
    "backward_transfer",
)
_TASK_FIGURES = {
    "accuracy": "right",
    "retained_accuracy": "what stays",
    "refusal_rate": "refused",
    "false_refusal_rate": "false refusal",
}
_PROTOCOLS = {"the task named": "", "no task named": "_without_task"}


def show_report(request: ForgetRequest, *, as_json: bool) -> None:
    """Print the result of a forget request: its verdict, and the figures before and after."""
    if as_json:
        print_json(request.model_dump(mode="json"))
        return
    typer.echo(f"forget request {request.id}: {request.status}")
    report = request.report
    if report is None:
        typer.echo(f"follow it with: forgettery jobs watch {request.job.id}")
        return
    typer.echo(f"verdict {request.verdict}, claim {request.claim or 'none'}, version {request.version or 'none'}")
    if request.missed_for_sought:
        missed = ", ".join(found.name for found in request.missed_for_sought)
        typer.echo(f"sought {request.sought}, got {request.claim}: {missed}")
    rows = [(name, getattr(report.before, name), getattr(report.after, name)) for name in _FIGURES]
    print_table("", ("", "before", "after"), rows)
    if report.forget_accuracy_before_refusal is not None:
        left = "more than may be left" if report.left_by_method else "no more than may be left"
        told = f" ({left})" if report.left_by_method is not None else ""
        typer.echo(
            f"still answered by the method itself, before refusal: {report.forget_accuracy_before_refusal:.4f}{told}"
        )
    if report.probe_recall is not None:
        probe, retrained = report.probe_recall, report.probe_recall.retrained.values()
        beside = f", retrained models {sum(retrained) / len(retrained):.4f}" if retrained else ""
        typer.echo(
            f"found by a linear probe of the features: {probe.value:.4f}, before {probe.original or 0:.4f}{beside}"
        )
    show_tasks_before_and_after(report)
    criteria = [(found.name, found.value, found.threshold, "yes" if found.passed else "NO") for found in report.gate]
    print_table("What the effect gate demanded", ("criterion", "value", "threshold", "held"), criteria)


def show_tasks_before_and_after(report: ForgetReport) -> None:
    """Print a table for each protocol, with a row for each task; nothing for a model without tasks."""
    pairs = list(zip(report.before.tasks, report.after.tasks, strict=True))
    for protocol, ending in _PROTOCOLS.items() if pairs else ():
        print_table(
            f"By task, before → after, {protocol}",
            ("task", *_TASK_FIGURES.values()),
            [(_name(now), *(_change(was, now, figure + ending) for figure in _TASK_FIGURES)) for was, now in pairs],
        )


def show_version(version: Version, *, as_json: bool) -> None:
    """Print one version, then its metrics."""
    show(version, as_json=as_json, leave_out=("manifest", "metrics"))
    if not as_json:
        _show_metrics(version.metrics)


def show_audit_log(client: Client, model: str) -> None:
    """Print what the log says about a model, and whether all of the log holds."""
    rows = [
        (entry.index, entry.event, entry.version, entry.leaf_hash[:16] + "…")
        for entry in client.audit_events(model=model)
    ]
    print_table(f"The audit log of {model}", ("index", "event", "version", "leaf hash"), rows)
    verified = client.verify_audit_log()
    typer.echo(f"Audit log: {verified.size} entries, {'every one holds' if verified.ok else 'BROKEN'}.")


def what_is_forgotten(forgotten: Forgotten) -> str:
    """The forgotten classes, the tasks that are gone as a whole, and the number of samples; short enough for a cell."""
    classes = ", ".join(map(str, forgotten.classes))
    tasks = ", ".join(map(str, forgotten.tasks))
    samples = f"{forgotten.num_samples} samples" if forgotten.num_samples else ""
    return "; ".join(part for part in (f"{classes} (task {tasks})" if tasks else classes, samples) if part) or "-"


def _show_metrics(metrics: VersionMetrics) -> None:
    figures = [(name, getattr(metrics, name)) for name in _METRICS if getattr(metrics, name) is not None]
    print_table("On the test set, as served", ("", ""), figures)
    print_table("By class", ("class", "accuracy"), enumerate(metrics.per_class_accuracy))
    for protocol, ending in _PROTOCOLS.items() if metrics.tasks else ():
        print_table(
            f"By task, {protocol}",
            ("task", *_TASK_FIGURES.values()),
            [(_name(found), *(getattr(found, figure + ending) for figure in _TASK_FIGURES)) for found in metrics.tasks],
        )
    if metrics.accuracy_matrix:
        _show_matrix(metrics.accuracy_matrix)


def _show_matrix(matrix: Sequence[Sequence[float | None]]) -> None:
    width = max(map(len, matrix))
    print_table(
        "Accuracy as tasks were learned, the task named (a row: after one more was learned)",
        ("", *(f"task {task}" for task in range(width))),
        [(number, *row, *[None] * (width - len(row))) for number, row in enumerate(matrix, start=1)],
    )


def _name(found: TaskMeasurements) -> str:
    return f"{found.task}: {', '.join(map(str, found.classes))}"


def _change(was: TaskMeasurements, now: TaskMeasurements, figure: str) -> str:
    return " → ".join(
        "-" if value is None else f"{value:.3f}" for value in (getattr(was, figure), getattr(now, figure))
    )
