"""The cells of `benchmarks.methods` as Markdown: the page, its tables, and what they were measured on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.markdown import NONE, table
from benchmarks.methods.cells import Cell, by_class, counted, load_cells, load_costs, mean, missed, ratio, where
from benchmarks.methods.goals import goals
from benchmarks.methods.remarks import LEFT, LEFT_SETTING, LIMITS, REMARKS
from benchmarks.methods.setting import (
    CLASS_ROWS,
    DEFAULT_ROW,
    MEMORISED_ROWS,
    MEMORISING_EPOCHS,
    NUM_SAMPLES,
    SAMPLE_ROWS,
    Row,
)

_HEAD = (
    "method", "refusal", "left", "forget", "retain", "test", "refused", "false refusals", "probe gap", "prototype gap", "MIA AUC",
    "JS", "CPU s", "ratio", "claim", "missed", "runs",
)  # fmt: skip
_RAW = Path("benchmarks/methods.json")


def write(folder: Path, output: Path) -> None:
    """The page and its raw figures, into the folder of the documentation."""
    cells, costs = load_cells(folder), load_costs(folder)
    (output / _RAW).write_text(json.dumps({"cells": cells, "costs": costs}, separators=(",", ":")) + "\n")
    (output / "methods.md").write_text(report(cells, costs))


def report(cells: list[Cell], costs: list[Cell]) -> str:
    """The page."""
    lines = ["# Unlearning methods, measured", "", *_setting(cells), *_left_before_striking()]
    for dataset in dict.fromkeys(cell["dataset"] for cell in cells):
        own = where(cells, dataset=dataset)
        lines += _goals(own, where(costs, dataset=dataset))
        for name in dict.fromkeys(cell["architecture"] for cell in own):
            lines += _of_architecture(name, where(own, architecture=name))
    return "\n".join([*lines, *_costs(costs)])


def _setting(cells: list[Cell]) -> list[str]:
    machines = {
        f"{cell['machine']['cores']} cores ({cell['machine']['processor']}), torch {cell['machine']['torch']}"
        for cell in cells
    }
    seeds = ", ".join(str(seed) for seed in sorted({cell["seed"] for cell in cells}))
    memorising = f"{MEMORISING_EPOCHS} epochs on {MEMORISED_ROWS:,} rows, of which {NUM_SAMPLES} random ones"
    return [
        "Every method beside the original and a retrained model. Figures are means over seeds and classes, as served.",
        "Thresholds, step counts and strengths were chosen inside each request on rows of the training file that were held",
        "out, never on test images. What each method does, and when not to use it, `GET /v1/methods` says.",
        "",
        f"Seeds {seeds}; the column *runs* counts what each row is a mean of. Training is the default recipe, 5 epochs; for",
        f"samples it is {memorising} are",
        "forgotten: a network that remembers no single row cannot be attacked.",
        "",
        "- *left*: what the method by itself left answered of the forget training set, before any output row was struck; a request",
        "  for classes whose method leaves more than .05 claims `edited` at most. `edit` does nothing but strike and edit weights.",
        '- *forget*, *retain*: accuracy on training rows; *test*: on test images of what stays; an answer "forgotten" is wrong.',
        "- *refused*: test images of forgotten classes answered as forgotten; *false refusals*: those of retained ones.",
        "- *probe gap*, *prototype gap*: recall of forgotten classes by a linear probe (50 images a class) and by prototypes",
        "  (5 images) on the last features, minus that of a retrained model.",
        "- *MIA AUC*: of the true label's margin. Classes: forgotten training images against test images of the same classes.",
        "  Samples: against test images, each margin less its mean in three retrained models.",
        "- *JS*: mean Jensen-Shannon divergence, in bits, from retrained models on the forget set.",
        "- *CPU s*: process time on one thread, of method, tuning and refusal; *ratio*: to a retraining for the same target.",
        "- *claim*: what the fast verification supports, and how often; *missed*: its criteria that did not hold, and how often.",
        "  Criteria sought by an approximate claim count for `edit` as well, which never seeks it. `original` is the control:",
        "  it must fail. The row `retrain` was trained with another seed than the retrained models that it is compared with.",
        "",
        "**How far this run goes**",
        "",
        *(f"- {limit}" for limit in LIMITS),
        "",
        *(f"Machine: {machine}." for machine in sorted(machines)),
        f"Written by `python -m benchmarks.methods`; raw figures: [methods.json]({_RAW}).",
        "",
    ]  # fmt: skip


def _left_before_striking() -> list[str]:
    head = ["method", "CNN: left", "accuracy on what stays", "CPU s", "MLP: left"]
    return ["## What each method leaves before a row is struck", "", LEFT_SETTING, "", *table(head, LEFT)]


def _goals(cells: list[Cell], costs: list[Cell]) -> list[str]:
    found = goals(cells, costs)
    if not found:
        return []
    rows = [
        (goal.name, goal.architecture, goal.wanted, goal.figure, "met" if goal.met else "**missed**") for goal in found
    ]
    told = [
        f"- **{goal.name}, {goal.architecture}**: {REMARKS[goal.name, goal.architecture]}"
        for goal in found
        if not goal.met and (goal.name, goal.architecture) in REMARKS
    ]
    lines = [f"## Goals, {cells[0]['dataset']}", "", *table(["goal", "network", "wanted", "figure", ""], rows)]
    return [*lines, *(["What was missed, and why:", "", *told, ""] if told else [])]


def _of_architecture(name: str, cells: list[Cell]) -> list[str]:
    classes = where(cells, target="class")
    compared = [cell for cell in classes if cell.get("retraining_seconds")]
    title = f"{cells[0]['dataset']}, {name}"
    lines = []
    if compared:
        numbers = ", ".join(str(number) for number in sorted({cell["classes"][0] for cell in compared}))
        lines += [f"## {title}: one class", "", f"Means over classes {numbers}.", "", *_methods(CLASS_ROWS, compared)]
        lines += _by_class(classes)
    if pairs := where(cells, target="classes"):
        both = " and ".join(str(number) for number in pairs[0]["classes"])
        lines += [f"## {title}: two classes, {both}", "", *_methods(CLASS_ROWS, pairs)]
    if samples := where(cells, target="samples"):
        lines += [f"## {title}: {NUM_SAMPLES} samples", "", *_power(samples), *_methods(SAMPLE_ROWS, samples)]
    return lines


def _methods(rows: Iterable[Row], cells: list[Cell]) -> list[str]:
    """One line a method, in the order of the rows; those that were refused are told below."""
    lines, refused = [], []
    for row in rows:
        own = where(cells, method=row.method, refusal=row.refusal)
        refused += sorted({f"`{row.method}`: {cell['problem']}" for cell in own if "problem" in cell})
        measured = [cell for cell in own if "problem" not in cell]
        if measured:
            lines.append(_line(row, measured))
    return [*table(_HEAD, lines), *([f"Not applicable: {'; '.join(refused)}", ""] if refused else [])]


def _line(row: Row, cells: list[Cell]) -> list[str]:
    share = [_left(cells), *(_number(mean(cells, name), 3) for name in ("forget_accuracy", "retain_accuracy"))]
    share += [_number(mean(cells, name), 4) for name in ("test_accuracy", "refusal_rate", "false_refusal_rate")]
    gaps = [_signed(mean(cells, name)) for name in ("probe_gap", "prototype_gap")]
    near = [_number(mean(cells, name), 3) for name in ("mia_auc", "divergence")]
    cost = [_number(mean(cells, "seconds"), 2), _number(ratio(cells), 2)]
    claims = counted(cell["claim"] for cell in cells)
    return [row.method, row.refusal, *share, *gaps, *near, *cost, claims, missed(cells), str(len(cells))]


def _left(cells: list[Cell]) -> str:
    """Mean and worst: a mean hides the seed in which nothing was forgotten."""
    found = [cell["left"] for cell in cells if cell.get("left") is not None]
    return f"{sum(found) / len(found):.3f} ({max(found):.3f})" if found else NONE


def _by_class(cells: list[Cell]) -> list[str]:
    """The default request, class by class."""
    own = where(cells, method=DEFAULT_ROW.method, refusal=DEFAULT_ROW.refusal)
    names = ("refusal_rate", "false_refusal_rate", "test_accuracy_before", "test_accuracy", "mia_auc", "seconds")
    columns = [by_class(own, lambda cell, name=name: float(cell[name])) for name in names]  # type: ignore[misc]  # bound now
    rows = [[str(number), *(f"{column[number]:.4f}" for column in columns)] for number in columns[0]]
    average = ["**all**", *(f"{sum(column.values()) / len(column):.4f}" for column in columns)]
    return [
        f"The default request (`edit` with `push`), every class, means over {len({cell['seed'] for cell in own})} seeds:",
        "",
        *table(
            ["class", "refused", "false refusals", "test before", "test after", "MIA AUC", "CPU s"], [*rows, average]
        ),
    ]


def _power(cells: list[Cell]) -> list[str]:
    """Whether the attack finds anything in the original, and nothing in a retrained model."""
    found = where(cells, method="original")
    exposed = sum(cell["mia_low"] > 0.5 for cell in found)
    spared = sum(cell["mia_low"] <= 0.5 for cell in where(cells, method="retrain"))
    retrained = len(where(cells, method="retrain"))
    return [
        f"Control of the attack: its 95 % interval lies above chance on {exposed} of {len(found)} originals, and reaches",
        f"down to chance on {spared} of {retrained} retrained models. "
        + (
            "It has power."
            if found and exposed == len(found) and spared == retrained
            else "**No power** where it does not."
        ),
        "",
    ]


def _costs(costs: list[Cell]) -> list[str]:
    if not costs:
        return []
    rows = [
        [f"{cost['dataset']}, {cost['architecture']}", *(f"{cost[name]:.3f}" for name in _COSTS), f"{cost['fisher'] / cost['batch_backward']:.2f}"]
        for cost in costs
    ]  # fmt: skip
    shares = [
        [f"{cost['dataset']}, {cost['architecture']}", *(f"{cost[name] / cost['epoch']:.2f}" for name in _SHARES)]
        for cost in costs
    ]
    return [
        "## Costs",
        "",
        f"CPU seconds, one thread, medians of repetitions ({', '.join(_repetitions(cost) for cost in costs)}),",
        "by `python -m benchmarks.methods.costs`. *Verify*: fast, with 1 or 3",
        "retrained models; *kept*: what they and the original were seen to do is known already. Fisher information of 1,000",
        "images beside the gradients of their batches; *vmap*: the same by `torch.func`, which the product does not use.",
        "",
        *table(["", *_COSTS.values(), "Fisher / backward"], rows),
        "As a share of an epoch:",
        "",
        *table(["", *_SHARES.values()], shares),
    ]


def _repetitions(cost: Cell) -> str:
    return f"{cost['architecture']} {cost['repetitions']}"


_SHARES = {
    "push_150": "push 150", "push_400": "push 400", "verify_1": "verify 1", "verify_1_kept": "verify 1, kept",
    "verify_3": "verify 3", "verify_3_kept": "verify 3, kept",
}  # fmt: skip
_COSTS = {
    "epoch": "epoch", "zero_and_calibrate": "zero and calibrate", **_SHARES, "batch_backward": "backward",
    "fisher": "Fisher", "fisher_vmap": "Fisher, vmap",
}  # fmt: skip


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _signed(value: Any) -> str:
    return NONE if value is None else f"{value:+.3f}"
