"""The figures of the published static set-up as Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.reproduction import published
from benchmarks.reproduction.setting import TASK_NAMES, TASKS
from benchmarks.reproduction.static import FORGOTTEN
from benchmarks.writing import NONE, Row, by_column, number, points, seeds_of, spread, table


def static(runs: list[Row]) -> list[str]:
    """The published static set-up."""
    return [
        "## Static network as published",
        "",
        "784-50-10, Synaptic Intelligence (c = 1, ξ = 0.001), Adam 0.001, batches of 1000, 5 epochs per task, optimizer",
        f"begun anew per task; {seeds_of(runs)}. A whole run takes {spread([run['seconds'] for run in runs], 1)} s",
        f"(published: {published.STATIC_SECONDS} s).",
        "",
        *_static_accuracies(runs),
        *_static_outputs(runs),
        *_static_stages(runs),
        *_omega(runs),
        *_ranked(runs),
    ]  # fmt: skip


def _static_accuracies(runs: list[Row]) -> list[str]:
    return table(
        ["accuracy after all tasks", *TASK_NAMES],
        [
            ["published, task named", *map(number, published.STATIC_ACCURACY)],
            ["reproduced, task named", *by_column([run["with_task"] for run in runs])],
            ["reproduced, no task named", *by_column([run["without_task"] for run in runs])],
        ],
    )


def _static_outputs(runs: list[Row]) -> list[str]:
    """Each column: the task whose outputs were replaced."""

    def own(kind: str, key: str) -> list[str]:
        return by_column([[entry[key][entry["task"]] for entry in run[kind]] for run in runs])

    def others(kind: str, key: str, before: str) -> list[str]:
        return [
            points(values) for values in zip(*[_others_change(run, kind, key, before) for run in runs], strict=True)
        ]

    only = [NONE] * FORGOTTEN
    return [
        "Outputs of one task replaced. *Others* is the mean change of the other tasks in percentage points. Published is",
        "the third task alone: both digits tie at 0, and the first index counts, so the figure is the share of that digit",
        "(982 of 1874 test images for the third task). Counted without ties nothing is left.",
        "",
        *table(
            ["task replaced", *TASK_NAMES],
            [
                ["zero, published: the task", *only, f"{published.STATIC_ZEROED[FORGOTTEN]:.4f}", NONE, NONE],
                ["zero, first index: the task", *own("zeroed", "with_task")],
                ["zero, no tie: the task", *own("zeroed", "with_task_no_tie")],
                ["zero: others, task named", *others("zeroed", "with_task", "with_task")],
                ["zero: others, no task named", *others("zeroed", "without_task", "without_task")],
                ["random, published: the task", *only, f"{published.STATIC_RANDOM[FORGOTTEN]:.4f}", NONE, NONE],
                ["random as published: the task", *own("published_random", "with_task")],
                ["random as published: others, task named", *others("published_random", "with_task", "with_task")],
                ["random as published: others, no task named", *others("published_random", "without_task", "without_task")],
                ["random, own distribution: the task", *own("own_random", "with_task")],
                ["random, own distribution: others, no task named", *others("own_random", "without_task", "without_task")],
                ["the same, forgotten outputs struck: others", *others("own_random", "without_task_struck", "without_task")],
            ],
        ),
    ]  # fmt: skip


def _others_change(run: dict[str, Any], kind: str, key: str, before: str) -> list[float]:
    """For each replaced task, the mean change of the other tasks."""
    changes = []
    for entry in run[kind]:
        found = [entry[key][task] - run[before][task] for task in range(len(TASKS)) if task != entry["task"]]
        changes.append(sum(found) / len(found))
    return changes


def _static_stages(runs: list[Row]) -> list[str]:
    rows = []
    for index, (stage, printed) in enumerate(published.STATIC_STAGES.items()):
        found = [run["stages"][index] for run in runs]
        sparsities = _digits([entry["sparsity"] for entry in found])
        rows += [
            [f"{stage}, zero, published", *map(number, printed.zero), str(printed.sparsity)],
            [f"{stage}, zero, reproduced", *by_column([entry["zero"] for entry in found]), sparsities],
        ]
        if "random" in found[0]:
            rows += [
                [f"{stage}, random, published", *map(number, printed.random), NONE],
                [f"{stage}, random, reproduced", *by_column([entry["random"] for entry in found]), NONE],
            ]
    return [
        "Forgetting the third task in stages, one upon the other, task named, first index: its outputs; the hidden values",
        "with Ω = 0 as logged; those called most important for the task (Ω turned from 0 to something at the log of the",
        "task, which by then holds the tasks before it). Sparsity by seed.",
        "",
        *table(["stage", *TASK_NAMES, "sparsity"], rows),
    ]


def _digits(values: list[float]) -> str:
    """Every value that occurs, to all digits."""
    return ", ".join(str(value) for value in sorted(set(values)))


def _omega(runs: list[Row]) -> list[str]:
    return table(
        ["values of Ω that are not 0", *TASK_NAMES],
        [
            ["published, as logged", *(str(count) for count in published.STATIC_NONZERO)],
            ["reproduced, as logged", *_counts(runs, "logged_nonzero")],
            ["reproduced, at the true end of the task", *_counts(runs, "end_nonzero")],
        ],
    )


def _counts(runs: list[Row], key: str) -> list[str]:
    return [spread(values, 0) for values in zip(*[run[key] for run in runs], strict=True)]


def _ranked(runs: list[Row]) -> list[str]:
    def row(name: str, entries: list[dict[str, Any]]) -> list[str]:
        accuracies = by_column([entry["with_task"] for entry in entries])
        accuracies[FORGOTTEN] = "forgotten"
        return [
            name,
            *accuracies,
            *(spread([entry["probe"][key] for entry in entries], 3) for key in ("two_way", "recall")),
        ]

    def reference(name: str, key: str) -> list[str]:
        return [
            name,
            *[NONE] * len(TASKS),
            *(spread([run[key][kind] for run in runs], 3) for kind in ("two_way", "recall")),
        ]

    steps = range(len(runs[0]["ranked"]))
    return [
        "What Ω tells when it is read at the true end of the task and ranked: the hidden weights of which the third task",
        "has the highest share are zeroed with its outputs. The probes are logistic regressions on the 50 hidden units,",
        "100 images per class: accuracy between 4 and 5, and recall of 4 and 5 among all ten digits.",
        "",
        *table(
            ["weights zeroed", *TASK_NAMES, "probe, two-way", "probe, recall"],
            [
                reference("none", "probe"),
                *(row(f"{runs[0]['ranked'][step]['share']:.0%}", [run["ranked"][step] for run in runs]) for step in steps),
                reference("untrained network", "probe_untrained"),
            ],
        ),
    ]  # fmt: skip
