"""`forgettery compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli.calls import Call, client_command
from app.cli.options import Name, SamplesFile, Seed, Wait, from_json, rows_of
from app.cli.progress import how_to_follow, say, wait
from app.cli.terminal import body, present, print_json, print_table, show

if TYPE_CHECKING:
    from app.contract.comparing import ComparedFigures, ComparedRow, Comparison

app = typer.Typer()

_FIGURES = {
    "forget_accuracy": "forget",
    "forget_accuracy_before_refusal": "left",
    "retain_accuracy": "retain",
    "test_accuracy": "test",
    "refusal_rate": "refused",
    "false_refusal_rate": "falsely",
    "probe_gap": "probe gap",
    "mia_gap": "mia gap",
    "seconds": "wall s",
    "cpu_seconds": "cpu s",
    "ratio_to_retraining": "of retraining",
}
Parameters = Annotated[
    str | None, typer.Option(help='Parameters by method as JSON, like {"euk": {"layers": 2}}.', show_default=False)
]
PlotFile = Annotated[
    Path | None, typer.Option("--plot", help="Write the plot to this file, .svg or .png.", dir_okay=False)
]


@client_command(app)
def compare(
    call: Call,
    name: Name,
    *,
    classes: Annotated[list[int] | None, typer.Option("--class", help="Index of a class; repeat.")] = None,
    tasks: Annotated[list[int] | None, typer.Option("--task", help="Index of a task, from 0; repeat.")] = None,
    samples: Annotated[list[int] | None, typer.Option("--sample", help="Id of a training row; repeat.")] = None,
    samples_file: SamplesFile = None,
    methods: Annotated[
        list[str] | None, typer.Option("--method", help="Compare these only, all that apply if left out; repeat.")
    ] = None,
    parameters: Parameters = None,
    refusal: Annotated[
        Literal["none", "calibrate", "push", "guard"] | None, typer.Option(help="The refusal of all methods.")
    ] = None,
    references: Annotated[int | None, typer.Option(min=1, max=5, help="Retrained models to compare with.")] = None,
    plot: PlotFile = None,
    seed: Seed = None,
    wait_for_it: Wait = True,
) -> None:
    """Compare methods on one target, beside the original and retrained models; publishes nothing."""
    from app.contract.comparing import CompareCreate  # noqa: PLC0415  see Call.connect

    rows = [*(samples or []), *rows_of(samples_file)]
    if not (classes or tasks or rows):
        raise typer.BadParameter("name what to forget: --class, --task, --sample or --samples-file")
    if plot is not None and plot.suffix not in {".svg", ".png"}:
        raise typer.BadParameter("the plot is an .svg or a .png file", param_hint="--plot")
    if plot is not None and not wait_for_it:
        raise typer.BadParameter("there is no plot before the job has ended; leave --no-wait out", param_hint="--plot")
    asked = {
        "target": present({"classes": classes or None, "tasks": tasks or None, "samples": rows or None}),
        "methods": _methods(methods or [], from_json("--parameters", parameters) if parameters else {}),
        "refusal": refusal,
        "num_references": references,
        "seed": seed,
    }
    with call.connect() as client:
        job = client.compare(name, body(CompareCreate, asked))
        if not wait_for_it:
            show(job, as_json=call.as_json)
            say(how_to_follow(client, job))
            return
        wait(client, job)
        _show(client.comparison(job), as_json=call.as_json)
        if plot is not None:
            plot.write_bytes(client.comparison_plot(job, "png" if plot.suffix == ".png" else "svg"))
            say(f"wrote {plot}")


def _methods(names: list[str], parameters: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The methods to compare, each with its parameters; None for all that apply."""
    unnamed = sorted(parameters.keys() - set(names))
    if unnamed:
        raise typer.BadParameter(
            f"it sets {', '.join(unnamed)}, which no --method names; its keys are the methods, like "
            '{"euk": {"layers": 2}}',
            param_hint="--parameters",
        )
    return [{"method": name} | present({"parameters": parameters.get(name)}) for name in names] or None


def _show(comparison: Comparison, *, as_json: bool) -> None:
    """Print the original, the retrained models, every method, and then why some methods failed."""
    if as_json:
        print_json(comparison.model_dump(mode="json"))
        return
    rows = [
        ("original", *_figures(comparison.original), None, None),
        ("retrained", *_figures(comparison.retrained), None, None),
        *((row.method, *_figures(row), row.verdict or _failed(row), row.claim) for row in comparison.rows),
    ]
    print_table("", ("method", *_titles(comparison), "verdict", "claim"), rows)
    for row in comparison.rows:
        if row.problem is not None:
            typer.echo(f"{row.method}: {row.problem.detail}")


def _titles(comparison: Comparison) -> list[str]:
    """The titles of the columns; in results of a release that counted no CPU seconds, the ratio is of wall seconds."""
    retrained = comparison.retrained
    is_of_wall = retrained.cpu_seconds is None and retrained.ratio_to_retraining is not None
    figures = _FIGURES | ({"ratio_to_retraining": "of retraining, wall"} if is_of_wall else {})
    return [*figures.values()]


def _figures(found: ComparedFigures) -> list[str | None]:
    """The figures as texts that are short enough for thirteen columns."""
    return [None if value is None else f"{value:.3f}" for value in (getattr(found, name) for name in _FIGURES)]


def _failed(row: ComparedRow) -> str | None:
    return "error" if row.problem else None
