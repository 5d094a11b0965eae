"""The figures of the product, task by task, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from operator import sub
from statistics import fmean, median
from typing import Any, get_args

from app.specs.learning import Mode
from app.specs.methods.edit import Scope, Strategy
from benchmarks.reproduction.setting import TASK_NAMES
from benchmarks.tasks.run import LEARNING, REFUSALS
from benchmarks.tasks.times import GOAL, ratio
from benchmarks.writing import NONE, Row, by_column, passed, points, section, seeds_of, spread, table, where

MOST_LOST: dict[str, float] = {"output": 0.005, "network": 0.03}
"""Accuracy that the other tasks may lose on average, the task named."""


def learning(runs: list[Row]) -> list[str]:
    """What the product learns with default settings."""
    rows = []
    for mode in _modes(runs):
        own = where(runs, mode=mode)
        matrix = [[run["accuracy_matrix"][task][task] for task in range(len(TASK_NAMES))] for run in own]
        rows += [
            [f"{mode}: when learned", *by_column(matrix), ""],
            [f"{mode}: after all, task named", *by_column([run["served"]["right"] for run in own]), ""],
            [
                f"{mode}: after all, no task named",
                *by_column([run["served"]["right_without_task"] for run in own]),
                spread([run["seconds"] for run in own], 1),
            ],
        ]
    return [
        *section(
            "## The product's modes",
            f"The same tasks with default settings, {seeds_of(runs)}. Neither mode is made for requests that name no\n"
            "task: the outputs of different tasks were never compared in training.",
        ),
        *table(["accuracy", *TASK_NAMES, "seconds"], rows),
        *(line for mode in _modes(runs) for line in _sparsity(mode, where(runs, mode=mode))),
        "",
    ]


def _sparsity(mode: str, runs: list[Row]) -> Iterator[str]:
    sparsities = ", ".join(sorted({f"{run['sparsity']:.10f}" for run in runs}))
    yield f"Sparsity of `{mode}`, {runs[0]['num_parameters']:,} parameters, over all seeds: {sparsities}."
    if mode == "progressive":
        yield "A growing network has room for connections from later units to earlier ones; they do not exist and are zero."


def forgetting(runs: list[Row]) -> list[str]:
    """What forgetting one task does, for every strategy, scope and refusal."""
    lines = [
        "## Forgetting a task with the product",
        "",
        f"Every task by itself from the network of all five, {seeds_of(runs)}; mean ± standard deviation over tasks and",
        "seeds. *Refused*: test images of the forgotten task answered as forgotten when no task is named; with the task",
        "named it is a rule. *Others*: change of the other tasks' accuracy in percentage points, a refusal counting as wrong;",
        "*worst* is that of one task, forgetting and seed. *Probe*: regression on the last hidden layer, 100 images per class,",
        "accuracy between the two digits and their recall among all ten. *Retrained* learned the other four tasks alone.",
        "At scope `output` zero and random answer alike, because forgotten outputs never compete. `push` reads images of all",
        "tasks at once, as learning never did: that others gain, and that the probe finds more, is its doing, not the edit's.",
        "",
    ]
    for mode in _modes(runs):
        own = where(runs, mode=mode)
        lines += [f"### {mode}", "", *_settings(own), *_goals(own), *_default_by_task(own)]
    return lines


def _modes(runs: list[Row]) -> list[str]:
    return [mode for mode in LEARNING if where(runs, mode=mode)]


def _settings(runs: list[Row]) -> list[str]:
    rows = []
    for scope, strategy, refusal in product(get_args(Scope), get_args(Strategy), REFUSALS):
        entries = _entries(runs, scope, strategy, refusal)
        named = _changes(entries, "right")
        rows.append(
            [
                f"{scope}, {strategy}, {refusal}",
                spread(_at_task(entries, "refused"), 3),
                spread(_at_task(entries, "refused_without_task"), 3),
                spread([fmean(_others(entry, entry["served"]["refused_without_task"])) for entry in entries]),
                points([fmean(found) for found in named]),
                f"{100 * min(min(found) for found in named):+.2f}",
                points([fmean(found) for found in _changes(entries, "right_without_task")]),
                *(spread([entry["probe"][key] for entry in entries], 3) for key in ("two_way", "recall")),
                passed(entries),
            ]
        )
    probes = [found for run in runs for found in run["probes"]]
    for name in ("original", "retrained", "untrained"):
        cells = [spread([found[name][key] for found in probes], 3) for key in ("two_way", "recall")]
        rows.append([f"*{name}*", *[NONE] * 6, *cells, ""])
    head = "request; refused, task named; refused; false refusals; others, task named; worst; others, no task named"
    return [
        f"Scope `network` replaces the default share of {runs[0]['share']:g}, and push takes {runs[0]['push_steps']} steps.",
        "",
        *table([*head.split("; "), "probe, two-way", "probe, recall", "gate passed"], rows),
    ]  # fmt: skip


def _entries(runs: list[Row], scope: str, strategy: str, refusal: str) -> list[Row]:
    """The requests of this kind, each with what its network answered before."""
    return [
        {**entry, "before": run["served"]}
        for run in runs
        for entry in where(run["forgotten"], scope=scope, strategy=strategy, refusal=refusal)
    ]


def _at_task(entries: list[Row], key: str) -> list[float]:
    """Of the forgotten task alone."""
    return [entry["served"][key][entry["task"]] for entry in entries]


def _others(entry: Row, values: list[float]) -> list[float]:
    """Of the other tasks."""
    return [value for task, value in enumerate(values) if task != entry["task"]]


def _changes(entries: list[Row], key: str) -> list[list[float]]:
    """For each request, the changes of the other tasks."""
    return [_others(entry, list(map(sub, entry["served"][key], entry["before"][key]))) for entry in entries]


def _goals(runs: list[Row]) -> list[str]:
    """Whether the other tasks lose no more than they may, the task named, at each scope."""
    lines = []
    for scope, refusal in product(get_args(Scope), REFUSALS):
        means = {
            strategy: fmean(fmean(found) for found in _changes(_entries(runs, scope, strategy, refusal), "right"))
            for strategy in get_args(Strategy)
        }
        verdict = "reached" if min(means.values()) >= -MOST_LOST[scope] else "**missed**"
        figures = ", ".join(f"{strategy} {100 * change:+.2f}" for strategy, change in means.items())
        lines.append(
            f"- Others lose at most {100 * MOST_LOST[scope]:g} points at scope {scope}, {refusal}: {verdict} ({figures})."
        )
    return [*lines, ""]


def _default_by_task(runs: list[Row]) -> list[str]:
    entries = _entries(runs, "network", "zero", "push")
    rows = []
    for task, name in enumerate(TASK_NAMES):
        own = where(entries, task=task)
        if not own:
            continue
        after = by_column([entry["served"]["right"] for entry in own])
        after[task] = "forgotten"
        rows.append([name, spread(_at_task(own, "refused_without_task")), *after])
    return [
        "The default request (network, zero, push) by forgotten task: refused when no task is named, and accuracy on",
        "each task, named.",
        "",
        *table(["forgotten", "refused", *TASK_NAMES], rows),
    ]


def times(part: dict[str, Any]) -> list[str]:
    """What learning tasks costs beside plain training of the same batches."""
    modes: dict[Mode, Any] = part["runs"]
    rows = []
    for mode, turns in modes.items():
        found, goal = ratio(turns), GOAL[mode]
        verdict = "reached" if found <= goal else "**missed**"
        seconds = [f"{median(turn[key] for turn in turns):.2f}" for key in ("learned", "plain")]
        rows.append([mode, str(len(turns)), *seconds, f"{found:.2f}", f"at most {goal}: {verdict}"])
    return [
        "## Time of learning tasks",
        "",
        "Wall seconds of the fits alone, in turns with plain training of the same batches in the same order: for Synaptic",
        "Intelligence the same network without importance, for the growing network a plain one of its full width. Medians;",
        f"{part['machine']['threads']} threads.",
        "",
        *table(["mode", "turns", "seconds", "plain", "ratio", "goal"], rows),
    ]
