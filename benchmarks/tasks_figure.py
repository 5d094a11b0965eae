"""The figure of docs/tasks.md: learning five tasks, and forgetting one of them, as served; means over seeds."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import altair as alt

from benchmarks.reproduction_markdown import TASK_NAMES, Runs
from benchmarks.tasks import LEARNING

FORGOTTEN = 2
TITLES = {"synaptic_intelligence": "static network, Synaptic Intelligence", "progressive": "growing network"}
_INK = "#7d7d7d"  # of all text outside cells: at least 4:1 against white and against near-black pages
_LIGHT_CELL = 0.75
_CELL = 46
_TEXT = "Helvetica, Arial, sans-serif"

Cell = dict[str, Any]


def draw(runs: Runs, path: Path) -> None:
    """Write the figure to `path`, in the format of its suffix (svg, png)."""
    rows = [
        alt.vconcat(_learning(own, mode), _forgetting(own), spacing=18)
        for mode in LEARNING
        if (own := [run for run in runs if run["mode"] == mode])
    ]
    chart = alt.hconcat(*rows, spacing=34).resolve_scale(color="shared")
    settings = {"labelColor": _INK, "titleColor": _INK, "labelFont": _TEXT, "titleFont": _TEXT, "labelFontSize": 12}
    chart = (
        chart.configure(background="transparent")
        .configure_view(stroke=None)
        .configure_axis(**settings, domain=False, ticks=False, titleFontSize=12, titleFontWeight="normal")
        .configure_title(color=_INK, font=_TEXT, fontSize=14)
    )
    chart.save(path, scale_factor=2) if path.suffix == ".png" else chart.save(path)


def _learning(runs: Runs, mode: str) -> alt.LayerChart | alt.FacetChart:
    """Row: after learning this task; column: accuracy on that one, named."""
    cells = [
        _cell(f"after {after}", name, fmean(run["accuracy_matrix"][row][column] for run in runs))
        for row, after in enumerate(TASK_NAMES)
        for column, name in enumerate(TASK_NAMES)
        if column <= row
    ]
    return _grid(cells, [f"after {name}" for name in TASK_NAMES], TITLES[mode])


def _forgetting(runs: Runs) -> alt.LayerChart | alt.FacetChart:
    """Row: before and after the default request for one task, which is named or not; refusals of the forgotten one."""
    entries = [
        entry
        for run in runs
        for entry in run["forgotten"]
        if (entry["task"], entry["scope"], entry["strategy"], entry["refusal"])
        == (FORGOTTEN, "network", "zero", "push")
    ]
    cells, names = [], []
    for suffix, asked in (("", "task named"), ("_without_task", "no task named")):
        for moment, served in (
            ("before", [run["served"] for run in runs]),
            ("after", [entry["served"] for entry in entries]),
        ):
            names.append(f"{moment}, {asked}")
            cells += [
                _cell(names[-1], name, fmean(found[f"right{suffix}"][column] for found in served))
                for column, name in enumerate(TASK_NAMES)
                if (moment, column) != ("after", FORGOTTEN)
            ]
            if moment == "after":
                refused = fmean(found[f"refused{suffix}"][FORGOTTEN] for found in served)
                cells.append({**_cell(names[-1], TASK_NAMES[FORGOTTEN], None), "text": f"{100 * refused:.1f} †"})
    return _grid(cells, names, f"forgetting {TASK_NAMES[FORGOTTEN].replace(' ', ' and ')}")


def _cell(row: str, column: str, value: float | None) -> Cell:
    return {"row": row, "column": column, "value": value, "text": "" if value is None else f"{100 * value:.1f}"}


def _grid(cells: list[Cell], rows: list[str], title: str) -> alt.LayerChart | alt.FacetChart:
    """A heat map with the values in its cells."""
    base = alt.Chart(alt.InlineData(values=cells)).encode(
        x=alt.X("column:N", sort=list(TASK_NAMES), title=None, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("row:N", sort=rows, title=None),
    )
    scale = alt.Scale(domain=[0, 1], scheme="blues")
    fill = alt.condition("datum.value === null", alt.value("#b3541e"), alt.Color("value:Q", scale=scale, legend=None))
    dark = f"datum.value === null || datum.value > {_LIGHT_CELL / 1.4:.2f}"
    tiles = base.mark_rect(cornerRadius=3).encode(color=fill)
    texts = base.mark_text(font=_TEXT, fontSize=12).encode(
        text="text:N", color=alt.condition(dark, alt.value("white"), alt.value("#1b1b1b"))
    )
    return alt.layer(tiles, texts).properties(
        width=len(TASK_NAMES) * _CELL, height=len(rows) * 0.75 * _CELL, title=alt.Title(title, anchor="start")
    )
