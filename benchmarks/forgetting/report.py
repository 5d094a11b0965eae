"""The figures of the study as Markdown."""

from __future__ import annotations

from itertools import product
from statistics import fmean
from typing import Any, get_args

from app.specs.methods import METHOD_SPECS
from app.specs.methods.edit import EditSettings, Scope, Strategy
from app.specs.refusing import Refusal
from benchmarks.forgetting import STUDY
from benchmarks.writing import (
    ROUNDING,
    Row,
    distinct,
    listed,
    machines,
    mean_and_worst,
    number,
    passed,
    section,
    table,
    values,
    where,
)  # fmt: skip

_FLOORS = {"mlp": 0.975, "cnn": 0.99}
_STACKED_FLOORS = {"mlp": 0.965, "cnn": 0.985}
_GUARDED_FLOOR = 0.98
_MOST_FALSE_REFUSALS = 0.01
_MOST_LOST = {"mlp": 0.005, "cnn": 0.003}


def report(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    names = sorted(distinct(figures["trained"], "architecture"), reverse=True)
    lines = section(
        "# Forgetting",
        f"{figures['dataset']}, seeds {listed(figures['seeds'])}, classes {listed(figures['classes'])}, default training.\n"
        + "\n".join(machines([figures["machine"]])) + "\n"
        "All figures are of the test set, which decides nothing; a mean is over seeds and classes. Written by\n"
        f"`{STUDY.command} {figures['arguments']}`; raw figures:\n"
        "[forgetting.json](forgetting.json).",
    )  # fmt: skip
    if figures["quick"]:
        lines += ["**A quick run of one epoch and few steps: it shows that the benchmark runs, and nothing else.**", ""]
    if figures["remarks"]:
        lines += [*(f"- {remark}" for remark in figures["remarks"]), ""]
    lines += _training_table(names, figures["trained"], figures["single"])
    for name in names:
        lines += _default_table(name, where(figures["single"], architecture=name))
    lines += [*_stack_table(names, figures["stacked"]), *_guard_table(names, figures["guarded"])]
    tried = figures["settings_classes"]
    for name in names:
        rows = [row for row in where(figures["settings"], architecture=name) if row["forgotten"][-1] in tried]
        # A seed of which the default request alone was measured has no part in comparing settings.
        if seeds := sorted(distinct(where(rows, refusal="none"), "seed")):
            lines += _settings_table(name, [row for row in rows if row["seed"] in seeds], seeds, tried)
    return "\n".join(lines)


def _training_table(names: list[str], trained: list[Row], single: list[Row]) -> list[str]:
    lines = section(
        "## Time",
        "Mean wall seconds. *Bare* is the shortest loop over the same tensors with the same optimizer. Forgetting is\n"
        "the method alone (default request), without measuring before and after, which *measured* gives; *short* is the\n"
        "time with a push of 150 steps per epoch. They include whatever else the machine did in this long run, and say little:\n"
        "[training.md](training.md) times training and forgetting by themselves.",
    )
    head = "network, accuracy (least), training, bare, ratio, forget, per epoch, per retraining, short, measured"
    rows = []
    for name in names:
        own, defaults = where(trained, architecture=name), _defaults(where(single, architecture=name))
        seconds, bare, method = _mean(own, "seconds"), _mean(own, "bare_seconds"), _mean(defaults, "method_seconds")
        epoch = fmean(row["seconds"] / row["epochs"] for row in own)
        per_retraining, short = method / _mean(own, "retrain_seconds"), _mean(own, "short_push_seconds") / epoch
        times = (
            seconds,
            bare,
            seconds / bare,
            method,
            method / epoch,
            per_retraining,
            short,
            _mean(defaults, "measuring_seconds"),
        )
        rows.append([name, mean_and_worst(values(own, "test_accuracy"), min), *(number(time, 2) for time in times)])
    return [*lines, *table(head.split(", "), rows)]


def _default_table(name: str, single: list[Row]) -> list[str]:
    lines = section(
        f"## {name}: the default request, by class",
        f"Zero, network, push. Goals: {_FLOORS[name]} refused and at most {_MOST_FALSE_REFUSALS} false refusals on average over seeds, and in\n"
        f"every single run retained accuracy at most {_MOST_LOST[name]} below before; a figure that misses its goal is in bold. Mean (worst)\n"
        "over seeds.",
    )
    rows = _defaults(single)
    classes = sorted({row["forgotten"][-1] for row in rows})
    by_class = {str(label): [row for row in rows if row["forgotten"][-1] == label] for label in classes}
    head = ["class", "refused", "false refusals", "retained before", "retained change", "gate passed"]
    return [*lines, *table(head, [_default_row(name, *own) for own in {**by_class, "all": rows}.items()])]


def _default_row(name: str, label: str, rows: list[Row]) -> list[str]:
    lost = min(_changes(rows)) < -_MOST_LOST[name] - ROUNDING
    few, many = _mean(rows, "refused") < _FLOORS[name], _mean(rows, "false_refusals") > _MOST_FALSE_REFUSALS
    return [
        label,
        mean_and_worst(values(rows, "refused"), min, missed=(few, False)),
        mean_and_worst(values(rows, "false_refusals"), max, missed=(many, False)),
        number(_mean(rows, "retained_before")),
        mean_and_worst(_changes(rows), min, signed=True, missed=(False, lost)),
        passed(rows),
    ]


def _stack_table(names: list[str], stacked: list[Row]) -> list[str]:
    goals = listed(f"{name} {floor}" for name, floor in _STACKED_FLOORS.items())
    lines = section(
        "## Requests that stack",
        f"Default requests, each on the result of the last. Refused, by class, mean over seeds; goals: {goals}. A request counts as passed\n"
        "only if every one before it passed, too; the rows go on past failures, which a server would not publish.",
    )
    rows = []
    for name, length in product(names, range(1, 4)):
        own = [row for row in where(stacked, architecture=name) if len(row["forgotten"]) == length]
        if own:
            refused, means = (
                _refused_by_class(own, _STACKED_FLOORS[name]),
                _means(own, "false_refusals", "retained_after"),
            )
            rows.append([name, listed(own[0]["forgotten"]), refused, *means, _chains_passed(stacked, own)])
    head = ["network", "forgotten so far", "refused by class", "false refusals", "retained after", "gate passed"]
    return [*lines, *table(head, rows)]


def _refused_by_class(rows: list[Row], floor: float) -> str:
    shares = {label: fmean(row["refused_by_class"][str(label)] for row in rows) for label in rows[0]["forgotten"]}
    return listed(f"{label}: {number(share, missed=share < floor)}" for label, share in shares.items())


def _guard_table(names: list[str], guarded: list[Row]) -> list[str]:
    lines = section(
        "## Two classes behind a guard",
        f"Both in one request: `euk`, and the refusal `guard`. Goal: {_GUARDED_FLOOR} refused. Means over seeds.",
    )
    rows = []
    for name, classes in product(names, _pairs(guarded)):
        own = [row for row in where(guarded, architecture=name) if tuple(row["forgotten"]) == classes]
        if own:
            refused = _mean(own, "refused")
            shares = [
                number(refused, missed=refused < _GUARDED_FLOOR),
                _refused_by_class(own, 0.0),
                *_means(own, "false_refusals"),
            ]
            cost = number(_mean(own, "method_seconds"), 2)
            rows.append([name, listed(classes), *shares, number(fmean(_changes(own)), signed=True), cost, passed(own)])
    head = "network; forgotten; refused; refused by class; false refusals; retained change; seconds; gate passed"
    return [*lines, *table(head.split("; "), rows)]


def _pairs(guarded: list[Row]) -> list[tuple[int, ...]]:
    return sorted({tuple(row["forgotten"]) for row in guarded}, reverse=True)


def _chains_passed(stacked: list[Row], rows: list[Row]) -> str:
    """Of how many seeds every request up to these rows passed."""
    chains = [
        where(stacked, architecture=row["architecture"], seed=row["seed"])[: len(row["forgotten"])] for row in rows
    ]
    return f"{sum(len(where(chain, verdict='passed')) == len(chain) for chain in chains)} of {len(rows)}"


def _settings_table(name: str, single: list[Row], seeds: list[int], classes: list[int]) -> list[str]:
    lines = section(
        f"## {name}: every scope, strategy and refusal",
        f"Means over seeds {listed(seeds)} and classes {listed(classes)}. *Raw* is the share of the forgotten class's training images that the head alone,\n"
        "without the null unit, gives their class: a zero row can win.",
    )
    rows = []
    for scope, strategy, refusal in product(get_args(Scope), get_args(Strategy), get_args(Refusal)):
        own = where(single, scope=scope, strategy=strategy, refusal=refusal)
        if own:
            shares = [mean_and_worst(values(own, "refused"), min), *_means(own, "false_refusals")]
            shares += [number(fmean(_changes(own)), signed=True), *_means(own, "raw_forget_accuracy")]
            rows.append([scope, strategy, refusal, *shares, number(_mean(own, "method_seconds"), 2), passed(own)])
    head = "scope, strategy, refusal, refused (least), false refusals, retained change, raw, seconds, gate passed"
    return [*lines, *table(head.split(", "), rows)]


def _defaults(single: list[Row]) -> list[Row]:
    default, refusal = EditSettings(), METHOD_SPECS["edit"].default_refusal
    return where(single, strategy=default.strategy, scope=default.scope, refusal=refusal)


def _changes(rows: list[Row]) -> list[float]:
    return [row["retained_after"] - row["retained_before"] for row in rows]


def _mean(rows: list[Row], name: str) -> float:
    return fmean(values(rows, name))


def _means(rows: list[Row], *names: str) -> list[str]:
    return [number(_mean(rows, name)) for name in names]
