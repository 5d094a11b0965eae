"""The plot of a comparison: forgetting against utility, drawn when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Session

from app.contract.comparing import ComparedFigures, Comparison
from app.errors import Conflict, JobNotFound
from app.operations.administration.jobs import get_job

PlotFormat = Literal["svg", "png"]

_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # the first comes with vl-convert
_WIDTH, _HEIGHT = 640, 400
_MARGIN = 0.08  # of each axis, left free around the points
_LEAST_SPAN = 0.01  # of an axis in its unit, so that points that agree do not fill the plot with noise
_LABEL_HEIGHT = 17  # pixels
_LABEL_WIDTH = 105  # pixels; labels nearer than this may cover each other
_PIXELS_PER_POINT = 2.0
_COLOURS = {
    "exact": "#0072B2",
    "approximate": "#009E73",
    "edited": "#E69F00",
    "suppressed": "#CC79A7",
    "none": "#999999",
    "reference": "#222222",
}
"""Colours by claim, which colour-blind people can tell apart, too (Okabe and Ito 2008)."""


def comparison_of(session: Session, job_id: UUID) -> Comparison:
    """What a comparison found; raises `JobNotFound` for a job of another kind, `Conflict` before it succeeded."""
    job = get_job(session, job_id)
    if job.kind != "compare":
        raise JobNotFound(f"job {job_id} is of the kind {job.kind}; only comparisons have a plot")
    if job.status != "succeeded":
        raise Conflict(f"the comparison is {job.status}; a plot needs one that succeeded")
    return Comparison.model_validate(job.result)


def render(comparison: Comparison, plot_format: PlotFormat) -> bytes:
    """The plot; nothing is fetched from anywhere."""
    import vl_convert

    chart = _chart(comparison).to_dict()
    if plot_format == "png":
        drawn: bytes = vl_convert.vegalite_to_png(chart, scale=_PIXELS_PER_POINT, allowed_base_urls=[])
        return drawn
    return str(vl_convert.vegalite_to_svg(chart, allowed_base_urls=[])).encode()


def _chart(comparison: Comparison) -> Any:
    import altair as alt

    points = _points(comparison)
    about_samples = comparison.original.probe_gap is None
    x_axis, y_axis = _domain([each["x"] for each in points]), _domain([each["y"] for each in points])
    x_axis[1] += _LABEL_WIDTH / _WIDTH * (x_axis[1] - x_axis[0])  # names stand to the right of their points
    for point, height in zip(points, _label_places(points, x_axis, y_axis), strict=True):
        point["label_y"] = height
    x = alt.X(
        "x:Q", scale=alt.Scale(domain=x_axis, nice=False, zero=False), title=_x_title(about_samples=about_samples)
    )
    y = alt.Y(
        "y:Q",
        scale=alt.Scale(domain=y_axis, nice=False, zero=False),
        title="Accuracy on retained test inputs (higher is better)",
        axis=alt.Axis(format=".3f"),
    )
    colour = alt.Color(
        "claim:N", scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())), legend=_legend(points)
    )
    shape = alt.Shape(
        "kind:N",
        scale=alt.Scale(domain=["method", "original", "retrained"], range=["circle", "diamond", "cross"]),
        legend=None,
    )
    base = alt.Chart(alt.InlineData(values=points))
    marks = base.mark_point(filled=True, size=120, opacity=1).encode(x=x, y=y, color=colour, shape=shape)
    leaders = base.mark_rule(color="#bbbbbb", strokeWidth=0.8, xOffset=7, x2Offset=15).encode(
        x=x, x2="x:Q", y=y, y2="label_y:Q"
    )
    labels = base.mark_text(align="left", dx=18, fontSize=12, color="#222222").encode(
        x=x, y=alt.Y("label_y:Q"), text="label:N"
    )
    halos = labels.mark_text(align="left", dx=18, fontSize=12, stroke="white", strokeWidth=4)
    layers = [*_reference_lines(comparison, x_axis, y_axis), leaders, halos, labels, marks]
    return _styled(alt.layer(*layers), comparison)


def _styled(chart: Any, comparison: Comparison) -> Any:
    import altair as alt

    failed = [row.method for row in comparison.rows if row.problem]
    subtitle = f"Forgetting {_named(comparison)} from version {comparison.version}; dashed: where retrained models are"
    subtitles = [subtitle, f"Failed, so not shown: {', '.join(failed)}"] if failed else [subtitle]
    title = alt.Title("Forgetting against utility", subtitle=subtitles, anchor="start", offset=14)
    return (
        chart.properties(width=_WIDTH, height=_HEIGHT, title=title, background="white", padding=16)
        .configure(font=_FONT)
        .configure_axis(labelFontSize=12, titleFontSize=13, titlePadding=12, gridColor="#eeeeee", tickCount=6)
        .configure_title(fontSize=17, subtitleFontSize=12, subtitleColor="#555555", subtitlePadding=6)
        .configure_legend(labelFontSize=12, titleFontSize=12, symbolType="circle", symbolSize=110)
        .configure_view(stroke="#dddddd")
    )


def _reference_lines(comparison: Comparison, x_axis: Sequence[float], y_axis: Sequence[float]) -> list[Any]:
    """The lines at the figures of the retrained models."""
    import altair as alt

    line: dict[str, Any] = {"color": "#888888", "strokeDash": [4, 4], "strokeWidth": 1}
    vertical = alt.Chart(alt.InlineData(values=[{"x": 0.0, "low": y_axis[0], "high": y_axis[1]}]))
    horizontal = alt.Chart(
        alt.InlineData(values=[{"y": comparison.retrained.test_accuracy, "low": x_axis[0], "high": x_axis[1]}])
    )
    return [
        vertical.mark_rule(**line).encode(x="x:Q", y="low:Q", y2="high:Q"),
        horizontal.mark_rule(**line).encode(y="y:Q", x="low:Q", x2="high:Q"),
    ]


def _legend(points: list[dict[str, Any]]) -> Any:
    import altair as alt

    found = {point["claim"] for point in points}
    return alt.Legend(title="Claim", values=[claim for claim in _COLOURS if claim in found and claim != "reference"])


def _points(comparison: Comparison) -> list[dict[str, Any]]:
    """Everything to be drawn; methods that failed have no place."""
    found = [
        _point("original", comparison.original, "original", "reference"),
        _point("retrained", comparison.retrained, "retrained", "reference"),
    ]
    found += [_point(row.method, row, "method", row.claim or "none") for row in comparison.rows if not row.problem]
    return [point for point in found if point["x"] is not None and point["y"] is not None]


def _point(label: str, figures: ComparedFigures, kind: str, claim: str) -> dict[str, Any]:
    x = figures.mia_gap if figures.probe_gap is None else figures.probe_gap
    return {"label": label, "x": x, "y": figures.test_accuracy, "kind": kind, "claim": claim}


def _x_title(*, about_samples: bool) -> str:
    if about_samples:
        return "AUC of a membership attack, above retrained models (0: nothing more is left)"
    return "Recall of the forgotten classes by a probe, above retrained models (0: nothing more is left)"


def _named(comparison: Comparison) -> str:
    if comparison.num_samples:
        return f"{comparison.num_samples} samples"
    kind = "tasks" if "tasks" in comparison.target else "classes"
    return f"{kind} {', '.join(map(str, comparison.target[kind]))}"


def _domain(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    middle, span = (low + high) / 2, max(high - low, _LEAST_SPAN)
    return [middle - span * (0.5 + _MARGIN), middle + span * (0.5 + _MARGIN)]


def _label_places(points: list[dict[str, Any]], x_axis: Sequence[float], y_axis: Sequence[float]) -> list[float]:
    """A height for each label: that of its point, or the next lower one where labels placed before would be covered."""
    across, up = _WIDTH / (x_axis[1] - x_axis[0]), _HEIGHT / (y_axis[1] - y_axis[0])
    placed: list[tuple[float, float]] = []
    heights = [0.0] * len(points)
    for index in sorted(range(len(points)), key=lambda index: -float(points[index]["y"])):
        x, y = points[index]["x"] * across, points[index]["y"] * up
        beside = [(point["x"] * across, point["y"] * up) for point in points]
        near = [other for at, other in placed if abs(at - x) < _LABEL_WIDTH]
        near += [other for at, other in beside if 0 < at - x < _LABEL_WIDTH]
        near.sort(reverse=True)
        for other in near:
            if abs(other - y) < _LABEL_HEIGHT:
                y = other - _LABEL_HEIGHT
        placed.append((x, y))
        heights[index] = y / up
    return heights
