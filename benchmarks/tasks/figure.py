"""The figure of docs/tasks.md: learning five tasks, and forgetting one of them, as served; means over seeds."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import altair as alt

from benchmarks.reproduction.setting import TASK_NAMES
from benchmarks.tasks.run import LEARNING
from benchmarks.writing import Row, where

FORGOTTEN = 2
TITLES = {"synaptic_intelligence": "static network, Synaptic Intelligence", "progressive": "growing network"}
_INK = "#7d7d7d"  # of all text outside cells: at least 4:1 against white and against near-black pages
_REFUSED = "#a8480f"
_DARK_FROM = 0.68  # cells above it are dark enough for white text
_CELL_WIDTH, _CELL_HEIGHT = 46, 32
_TEXT = "Helvetica, Arial, sans-serif"

Cell = dict[str, Any]


def draw(runs: list[Row], path: Path) -> None:
    """Write the figure to `path`, in the format of its suffix (svg, png)."""
    rows = [
        alt.vconcat(_learning(own, mode), _forgetting(own), spacing=18)
        for mode in LEARNING
        if (own := where(runs, mode=mode))
    ]
    chart = alt.hconcat(*rows, spacing=34).resolve_scale(color="shared")
    settings = {"labelColor": _INK, "titleColor": _INK, "labelFont": _TEXT, "titleFont": _TEXT, "labelFontSize": 12}
    chart = (
        chart.configure(background="transparent")
        .configure_view(stroke=None)
        .configure_axis(**settings, domain=False, ticks=False, titleFontSize=12, titleFontWeight="normal")
        .configure_title(
            color=_INK,
            font=_TEXT,
            fontSize=14,
            subtitleColor=_INK,
            subtitleFont=_TEXT,
            subtitleFontSize=12,
            anchor="start",
        )
    )
    chart.save(path, scale_factor=2) if path.suffix == ".png" else chart.save(path)


def _learning(runs: list[Row], mode: str) -> alt.LayerChart | alt.FacetChart:
    """Row: after learning this task; column: accuracy on that one, named."""
    cells = [
        _cell(f"after {after}", name, fmean(run["accuracy_matrix"][row][column] for run in runs))
        for row, after in enumerate(TASK_NAMES)
        for column, name in enumerate(TASK_NAMES)
        if column <= row
    ]
    title = alt.Title(TITLES[mode], subtitle="accuracy (%), task named, after learning each")
    return _grid(cells, [f"after {name}" for name in TASK_NAMES], title)


def _forgetting(runs: list[Row]) -> alt.LayerChart | alt.FacetChart:
    """Row: before and after the default request for one task, which is named or not; refusals of the forgotten one."""
    before, after = [run["served"] for run in runs], [_request(run)["served"] for run in runs]
    cells: list[Cell] = []
    for suffix, asked in (("", "task named"), ("_without_task", "no task named")):
        for column, name in enumerate(TASK_NAMES):
            forgotten = column == FORGOTTEN
            key = f"refused{suffix}" if forgotten else f"right{suffix}"
            now = fmean(served[key][column] for served in after)
            then = fmean(served[f"right{suffix}"][column] for served in before)
            cells += [
                _cell(f"before, {asked}", name, then),
                {**_cell(f"after, {asked}", name, now), "refused": forgotten},
            ]
    rows = [f"{moment}, {asked}" for asked in ("task named", "no task named") for moment in ("before", "after")]
    title = f"forgetting {TASK_NAMES[FORGOTTEN].replace(' ', ' and ')}"
    return _grid(cells, rows, alt.Title(title, subtitle="orange: answered as forgotten (%)"))


def _request(run: dict[str, Any]) -> dict[str, Any]:
    """The default request for the task that the figure shows."""
    return where(run["forgotten"], task=FORGOTTEN, scope="network", strategy="zero", refusal="push")[0]


def _cell(row: str, column: str, value: float) -> Cell:
    return {"row": row, "column": column, "value": value, "text": f"{100 * value:.1f}", "refused": False}


def _grid(cells: list[Cell], rows: list[str], title: alt.Title) -> alt.LayerChart | alt.FacetChart:
    """A heat map with the values in its cells."""
    base = alt.Chart(alt.InlineData(values=cells)).encode(
        x=alt.X("column:N", sort=list(TASK_NAMES), title=None, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("row:N", sort=rows, title=None),
    )
    shade = alt.Color("value:Q", scale=alt.Scale(domain=[0, 1], scheme="blues"), legend=None)
    tiles = base.mark_rect(cornerRadius=3).encode(color=alt.condition("datum.refused", alt.value(_REFUSED), shade))
    texts = base.mark_text(font=_TEXT, fontSize=12).encode(
        text="text:N",
        color=alt.condition(f"datum.refused || datum.value > {_DARK_FROM}", alt.value("white"), alt.value("#1b1b1b")),
    )
    return alt.layer(tiles, texts).properties(
        width=len(TASK_NAMES) * _CELL_WIDTH, height=len(rows) * _CELL_HEIGHT, title=title
    )
