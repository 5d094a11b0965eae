"""The cells as Markdown: the page, its tables, and what they were measured on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.methods import STUDY
from benchmarks.methods.cells import Cell, by_class, counted, load_cells, load_costs, missed, ratio
from benchmarks.methods.costs import STUDY as COSTS
from benchmarks.methods.goals import KINDS, Goal, goals
from benchmarks.methods.remarks import LEFT_BY_CNN, LIMITS, REMARKS
from benchmarks.methods.setting import (
    CLASS_ROWS,
    DEFAULT_ROW,
    MEMORISED_ROWS,
    MEMORISING_EPOCHS,
    NUM_SAMPLES,
    SAMPLE_ROWS,
    Row,
)
from benchmarks.writing import (
    distinct,
    listed,
    machines,
    mean,
    mean_and_worst,
    number,
    section,
    table,
    values,
    where,
    write,
)

_HEAD = (
    "method", "refusal", "left", "forget", "retain", "test", "refused", "false refusals", "probe gap", "prototype gap", "MIA AUC",
    "JS", "CPU s", "ratio", "claim", "missed", "runs",
)  # fmt: skip
_RAW = Path("benchmarks/methods.json")


def write_page(folder: Path, output: Path) -> None:
    """The page and its raw figures, into the folder of the documentation."""
    cells, costs = load_cells(folder), load_costs(folder)
    write(output / _RAW, {"cells": cells, "costs": costs}, indent=None)
    write(output / "methods.md", report(cells, costs))


def report(cells: list[Cell], costs: list[Cell]) -> str:
    """The page."""
    lines = ["# Unlearning methods, measured", "", *_setting(cells), *LEFT_BY_CNN.split("\n")]
    for dataset in distinct(cells, "dataset"):
        own = where(cells, dataset=dataset)
        lines += _goals(dataset, goals(own, where(costs, dataset=dataset)))
        for name in distinct(own, "architecture"):
            lines += _of_architecture(name, where(own, architecture=name))
    return "\n".join([*lines, *_costs(costs)])


def _setting(cells: list[Cell]) -> list[str]:
    seeds = listed(sorted(distinct(cells, "seed")))
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
        *machines(cell["machine"] for cell in cells),
        f"Written by `{STUDY.command}`; raw figures: [methods.json]({_RAW}).",
        "",
    ]  # fmt: skip


def _goals(dataset: str, found: list[Goal]) -> list[str]:
    """A table for each kind of target."""
    lines = section(
        f"## Goals, {dataset}",
        "A goal is judged on means over seeds, class by class where single classes are forgotten; the worst run is told beside them.",
    )
    for kind, title in KINDS.items():
        own = [goal for goal in found if goal.kind == kind]
        rows = [
            (goal.name, goal.architecture, goal.wanted, goal.figure, "met" if goal.met else "**missed**")
            for goal in own
        ]
        if rows:
            lines += [f"### Goals of {title}", "", *table(["goal", "network", "wanted", "figure", ""], rows)]
    told = [
        f"- **{name}, {architecture}**: {remark}"
        for (name, architecture), remark in REMARKS.items()
        if any((goal.name, goal.architecture, goal.met) == (name, architecture, False) for goal in found)
    ]
    return [*lines, *(["What was missed, and why:", "", *told, ""] if told else [])]


def _of_architecture(name: str, cells: list[Cell]) -> list[str]:
    classes, pairs, samples = (where(cells, target=kind) for kind in ("class", "classes", "samples"))
    compared = [cell for cell in classes if cell.get("retraining_seconds")]
    title = f"## {cells[0]['dataset']}, {name}"
    lines = []
    if compared:
        numbers = listed(sorted({cell["classes"][0] for cell in compared}))
        lines += section(f"{title}: one class", f"Means over classes {numbers}.")
        lines += [*_methods(CLASS_ROWS, compared), *_by_class(classes)]
    if pairs:
        both = " and ".join(map(str, pairs[0]["classes"]))
        lines += [*section(f"{title}: two classes, {both}"), *_methods(CLASS_ROWS, pairs)]
    if samples:
        lines += [*section(f"{title}: {NUM_SAMPLES} samples"), *_power(samples), *_methods(SAMPLE_ROWS, samples)]
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
    def means(digits: int, *names: str, signed: bool = False) -> list[str]:
        return [number(mean(cells, name), digits, signed=signed) for name in names]

    return [
        row.method,
        row.refusal,
        mean_and_worst(values(cells, "left"), max, 3),
        *means(3, "forget_accuracy", "retain_accuracy"),
        *means(4, "test_accuracy", "refusal_rate", "false_refusal_rate"),
        *means(3, "probe_gap", "prototype_gap", signed=True),
        *means(3, "mia_auc", "divergence"),
        *means(2, "seconds"),
        number(ratio(cells), 2),
        counted(cell["claim"] for cell in cells),
        missed(cells),
        str(len(cells)),
    ]


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
    originals, retrained = where(cells, method="original"), where(cells, method="retrain")
    exposed = sum(cell["mia_low"] > 0.5 for cell in originals)
    spared = sum(cell["mia_low"] <= 0.5 for cell in retrained)
    powerful = originals and (exposed, spared) == (len(originals), len(retrained))
    return [
        f"Control of the attack: its 95 % interval lies above chance on {exposed} of {len(originals)} originals, and reaches",
        f"down to chance on {spared} of {len(retrained)} retrained models. "
        + ("It has power." if powerful else "**No power** where it does not."),
        "",
    ]


def _costs(costs: list[Cell]) -> list[str]:
    if not costs:
        return []
    names = [f"{cost['dataset']}, {cost['architecture']}" for cost in costs]
    seconds = [
        [*(number(cost[key], 3) for key in _COSTS), number(cost["fisher"] / cost["batch_backward"], 2)]
        for cost in costs
    ]
    shares = [[number(cost[key] / cost["epoch"], 2) for key in _SHARES] for cost in costs]
    repetitions = listed(f"{cost['architecture']} {cost['repetitions']}" for cost in costs)
    return [
        *section(
            "## Costs",
            f"CPU seconds, one thread, medians of repetitions ({repetitions}),\n"
            f"by `{COSTS.command}`. *Verify*: fast, with 1 or 3\n"
            "retrained models; *kept*: what they and the original were seen to do is known already. Fisher information of 1,000\n"
            "images beside the gradients of their batches; *vmap*: the same by `torch.func`, which the product does not use.",
        ),
        *table(
            ["", *_COSTS.values(), "Fisher / backward"],
            [[name, *row] for name, row in zip(names, seconds, strict=True)],
        ),
        "As a share of an epoch:",
        "",
        *table(["", *_SHARES.values()], [[name, *row] for name, row in zip(names, shares, strict=True)]),
    ]


_SHARES = {
    "push_150": "push 150", "push_400": "push 400", "verify_1": "verify 1", "verify_1_kept": "verify 1, kept",
    "verify_3": "verify 3", "verify_3_kept": "verify 3, kept",
}  # fmt: skip
_COSTS = {
    "epoch": "epoch", "zero_and_calibrate": "zero and calibrate", **_SHARES, "batch_backward": "backward",
    "fisher": "Fisher", "fisher_vmap": "Fisher, vmap",
}  # fmt: skip
