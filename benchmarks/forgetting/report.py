"""The figures of `benchmarks.forgetting` as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from statistics import fmean
from typing import Any, get_args

from app.specs import Edit, Refusal, Scope, Strategy

_FLOORS = {"mlp": 0.975, "cnn": 0.99}
_STACKED_FLOORS = {"mlp": 0.965, "cnn": 0.985}
_GUARDED_FLOOR = 0.98
_MOST_FALSE_REFUSALS = 0.01
_MOST_LOST = {"mlp": 0.005, "cnn": 0.003}
_ROUNDING = 1e-9

Row = dict[str, Any]


def report(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    machine = figures["machine"]
    names = sorted({row["architecture"] for row in figures["trained"]}, reverse=True)
    lines = [
        "# Forgetting",
        "",
        f"{figures['dataset']}, seeds {_listed(figures['seeds'])}, classes {_listed(figures['classes'])}, default training.",
        f"Machine: {machine['cores']} cores ({machine['processor']}), {machine['threads']} threads,",
        f"torch {machine['torch']}.",
        "All figures are of the test set, which decides nothing; a mean is over seeds and classes. Written by",
        f"`python -m benchmarks.forgetting {figures['arguments']}`; raw figures:",
        "[forgetting.json](forgetting.json).",
        "",
    ]
    if figures["quick"]:
        lines += ["**A quick run of one epoch and few steps: it shows that the benchmark runs, and nothing else.**", ""]
    if figures["remarks"]:
        lines += [*(f"- {remark}" for remark in figures["remarks"]), ""]
    lines += _training_table(figures["trained"], figures["single"])
    for name in names:
        lines += _default_table(name, [row for row in figures["single"] if row["architecture"] == name])
    lines += _stack_table(figures["stacked"])
    lines += _guard_table(figures["guarded"])
    tried = set(figures["settings_classes"])
    for name in names:
        rows = [row for row in figures["settings"] if row["architecture"] == name and row["forgotten"][-1] in tried]
        # A seed of which the default request alone was measured has no part in comparing settings.
        seeds = sorted({row["seed"] for row in rows if row["refusal"] == "none"})
        if seeds:
            lines += _settings_table(
                name, [row for row in rows if row["seed"] in seeds], seeds, figures["settings_classes"]
            )
    return "\n".join(lines)


def _training_table(trained: list[Row], single: list[Row]) -> list[str]:
    lines = [
        "## Time",
        "",
        "Mean wall seconds. *Bare* is the shortest loop over the same tensors with the same optimizer. Forgetting is",
        "the method alone (default request), without measuring before and after, which *measured* gives; *short* is the",
        "time with a push of 150 steps per epoch. They include whatever else the machine did in this long run, and say little:",
        "[training.md](training.md) times training and forgetting by themselves.",
        "",
        "| network | accuracy (least) | training | bare | ratio | forget | per epoch | per retraining | short | measured |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted({row["architecture"] for row in trained}, reverse=True):
        rows = [row for row in trained if row["architecture"] == name]
        defaults = [row for row in _defaults(single) if row["architecture"] == name]
        seconds, bare = _mean(rows, "seconds"), _mean(rows, "bare_seconds")
        epoch = fmean(row["seconds"] / row["epochs"] for row in rows)
        method = _mean(defaults, "method_seconds")
        lines.append(
            f"| {name} | {_mean(rows, 'test_accuracy'):.4f} ({min(row['test_accuracy'] for row in rows):.4f}) "
            f"| {seconds:.2f} | {bare:.2f} | {seconds / bare:.2f} | {method:.2f} | {method / epoch:.2f} "
            f"| {method / _mean(rows, 'retrain_seconds'):.2f} | {_mean(rows, 'short_push_seconds') / epoch:.2f} "
            f"| {_mean(defaults, 'measuring_seconds'):.2f} |"
        )
    return [*lines, ""]


def _default_table(name: str, single: list[Row]) -> list[str]:
    lines = [
        f"## {name}: the default request, by class",
        "",
        f"Zero, network, push. Goals: {_FLOORS[name]} refused and at most {_MOST_FALSE_REFUSALS} false refusals on average over seeds, and in",
        f"every single run retained accuracy at most {_MOST_LOST[name]} below before; a figure that misses its goal is in bold. Mean (worst)",
        "over seeds.",
        "",
        "| class | refused | false refusals | retained before | retained change | gate passed |",
        "|---|---|---|---|---|---|",
    ]
    rows = _defaults(single)
    classes = sorted({row["forgotten"][-1] for row in rows})
    by_class = [
        _default_row(name, str(number), [row for row in rows if row["forgotten"][-1] == number]) for number in classes
    ]
    return [*lines, *by_class, _default_row(name, "all", rows), ""]


def _default_row(name: str, label: str, rows: list[Row]) -> str:
    refused, false_refusals = _mean(rows, "refused"), _mean(rows, "false_refusals")
    changes = [row["retained_after"] - row["retained_before"] for row in rows]
    lost = min(changes) < -_MOST_LOST[name] - _ROUNDING
    return (
        f"| {label} | {_marked(refused, missed=refused < _FLOORS[name])} ({min(row['refused'] for row in rows):.4f}) "
        f"| {_marked(false_refusals, missed=false_refusals > _MOST_FALSE_REFUSALS)} "
        f"({max(row['false_refusals'] for row in rows):.4f}) | {_mean(rows, 'retained_before'):.4f} "
        f"| {fmean(changes):+.4f} ({'**' if lost else ''}{min(changes):+.4f}{'**' if lost else ''}) | {_passed(rows)} |"
    )


def _marked(value: float, *, missed: bool) -> str:
    return f"**{value:.4f}**" if missed else f"{value:.4f}"


def _stack_table(stacked: list[Row]) -> list[str]:
    lines = [
        "## Requests that stack",
        "",
        "Default requests, each on the result of the last. Refused, by class, mean over seeds; goals: "
        + ", ".join(f"{name} {floor}" for name, floor in _STACKED_FLOORS.items())
        + ". A request counts as passed",
        "only if every one before it passed, too; the rows go on past failures, which a server would not publish.",
        "",
        "| network | forgotten so far | refused by class | false refusals | retained after | gate passed |",
        "|---|---|---|---|---|---|",
    ]
    for name, length in product(sorted({row["architecture"] for row in stacked}, reverse=True), range(1, 4)):
        rows = [row for row in stacked if row["architecture"] == name and len(row["forgotten"]) == length]
        if rows:
            classes = rows[0]["forgotten"]
            refused = _refused_by_class(rows, _STACKED_FLOORS[name])
            lines.append(
                f"| {name} | {_listed(classes)} | {refused} | {_mean(rows, 'false_refusals'):.4f} "
                f"| {_mean(rows, 'retained_after'):.4f} | {_chains_passed(stacked, rows)} |"
            )
    return [*lines, ""]


def _refused_by_class(rows: list[Row], floor: float) -> str:
    shares = {number: fmean(row["refused_by_class"][str(number)] for row in rows) for number in rows[0]["forgotten"]}
    return ", ".join(f"{number}: {_marked(share, missed=share < floor)}" for number, share in shares.items())


def _guard_table(guarded: list[Row]) -> list[str]:
    lines = [
        "## Two classes behind a guard",
        "",
        f"Both in one request: `euk`, and the refusal `guard`. Goal: {_GUARDED_FLOOR} refused. Means over seeds.",
        "",
        "| network | forgotten | refused | refused by class | false refusals | retained change | seconds | gate passed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    cases = dict.fromkeys((row["architecture"], tuple(row["forgotten"])) for row in guarded)
    for name, classes in sorted(cases, reverse=True):
        rows = [row for row in guarded if (row["architecture"], tuple(row["forgotten"])) == (name, classes)]
        refused = _mean(rows, "refused")
        lines.append(
            f"| {name} | {_listed(classes)} | {_marked(refused, missed=refused < _GUARDED_FLOOR)} "
            f"| {_refused_by_class(rows, 0.0)} | {_mean(rows, 'false_refusals'):.4f} "
            f"| {fmean(row['retained_after'] - row['retained_before'] for row in rows):+.4f} "
            f"| {_mean(rows, 'method_seconds'):.2f} | {_passed(rows)} |"
        )
    return [*lines, ""]


def _chains_passed(stacked: list[Row], rows: list[Row]) -> str:
    """Of how many seeds every request up to these rows passed."""
    passed = sum(
        all(
            earlier["verdict"] == "passed"
            for earlier in stacked
            if (earlier["architecture"], earlier["seed"]) == (row["architecture"], row["seed"])
            and len(earlier["forgotten"]) <= len(row["forgotten"])
        )
        for row in rows
    )
    return f"{passed} of {len(rows)}"


def _settings_table(name: str, single: list[Row], seeds: list[int], classes: list[int]) -> list[str]:
    lines = [
        f"## {name}: every scope, strategy and refusal",
        "",
        f"Means over seeds {_listed(seeds)} and classes {_listed(classes)}. *Raw* is the share of the forgotten class's training images that the head alone,",
        "without the null unit, gives their class: a zero row can win.",
        "",
        "| scope | strategy | refusal | refused (least) | false refusals | retained change | raw | seconds | gate passed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for scope, strategy, refusal in product(get_args(Scope), get_args(Strategy), get_args(Refusal)):
        rows = [row for row in single if (row["scope"], row["strategy"], row["refusal"]) == (scope, strategy, refusal)]
        if not rows:
            continue
        change = fmean(row["retained_after"] - row["retained_before"] for row in rows)
        lines.append(
            f"| {scope} | {strategy} | {refusal} "
            f"| {_mean(rows, 'refused'):.4f} ({min(row['refused'] for row in rows):.4f}) "
            f"| {_mean(rows, 'false_refusals'):.4f} | {change:+.4f} | {_mean(rows, 'raw_forget_accuracy'):.4f} "
            f"| {_mean(rows, 'method_seconds'):.2f} | {_passed(rows)} |"
        )
    return [*lines, ""]


def _defaults(single: list[Row]) -> list[Row]:
    default = Edit(())
    return [
        row
        for row in single
        if (row["strategy"], row["scope"], row["refusal"]) == (default.strategy, default.scope, default.refusal)
    ]


def _mean(rows: list[Row], name: str) -> float:
    return fmean(row[name] for row in rows)


def _passed(rows: list[Row]) -> str:
    return f"{sum(row['verdict'] == 'passed' for row in rows)} of {len(rows)}"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values)
