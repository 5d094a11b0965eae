"""Forgetting, measured: refusal, false refusals, retained accuracy and time, over seeds, classes and settings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import torch

from app.method_parameters import EukParameters
from app.method_specs import Unlearning
from app.specs import Edit, EditParameters, GuardParameters, Refusal, Scope, Strategy, Training
from app.unlearning.architectures import Classifier, build
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.forgetting import Unlearned, forget_classes
from app.unlearning.forgetting import forget as forget_by_method
from app.unlearning.partition import Partition
from app.unlearning.training import fit
from app.unlearning.verification import version_metrics
from benchmarks.forgetting import STUDY
from benchmarks.forgetting.report import report
from benchmarks.study import ARCHITECTURES, add_architectures, dataset, machine, prepare
from benchmarks.training import bare_loop
from benchmarks.writing import Row, write

STACK = (2, 5, 8)
GUARDED = ((2, 5), (4, 9))
"""Two classes each, forgotten in one request: one pair that is unlike, and the two digits that are confused most."""
SHORT_PUSH = 150
_QUICK_PUSH = 30
_CONTEXT = Context()


def train(name: str, data: Dataset, training: Training, forget_class: int, push_steps: int) -> tuple[Classifier, Row]:
    """A model trained with `training`, and the seconds to compare forgetting with, of the same machine at the same time."""

    def fresh() -> Classifier:
        return build(ARCHITECTURES[name], data.input_shape, data.num_classes, training.seed)

    model = fresh()
    fitted = fit(model, data, data.train_rows, training, _CONTEXT)
    bare_seconds = bare_loop(fresh(), data, training)
    retrained = fit(fresh(), data, Partition.of(data, [forget_class]).train.retain, training, _CONTEXT)
    short = Edit((forget_class,), parameters=EditParameters(push_steps=push_steps), seed=training.seed)
    return model, {
        "architecture": name,
        "seed": training.seed,
        "test_accuracy": version_metrics(model, data).test_accuracy,
        "seconds": fitted.seconds,
        "bare_seconds": bare_seconds,
        "epochs": fitted.epochs,
        "retrain_seconds": retrained.seconds,
        "short_push_seconds": forget_classes(model, data, short, _CONTEXT).report.seconds["method"],
    }


def forget(name: str, model: Classifier, data: Dataset, edit: Edit) -> tuple[Classifier, Row]:
    """One request, and its figures."""
    result = forget_classes(model, data, edit, _CONTEXT)
    return result.model, _figures(name, model, edit, result)


def forget_behind_guard(name: str, model: Classifier, data: Dataset, classes: tuple[int, ...], edit: Edit) -> Row:
    """The last layers begin anew without these classes, and the guard of `edit` refuses them."""
    asked = Unlearning("euk", EukParameters(), refusal="guard", guard=edit.guard, seed=edit.seed)
    result = forget_by_method(model, data, Partition.of(data, classes), asked, _CONTEXT)
    return _figures(name, model, replace(edit, classes=classes, refusal="guard"), result, "euk")


def _figures(name: str, model: Classifier, edit: Edit, result: Unlearned, method: str = "edit") -> Row:
    before, after, seconds = result.report.before, result.report.after, result.report.seconds
    forgotten = (*model.forgotten_classes, *edit.classes)
    setting = {"strategy": edit.strategy, "scope": edit.scope, "refusal": edit.refusal}
    print(
        f"{name} seed {edit.seed} {forgotten} {method} {'/'.join(setting.values())}: {after.refusal_rate:.4f}",
        flush=True,
    )
    return {
        "architecture": name,
        "seed": edit.seed,
        "forgotten": forgotten,
        "method": method,
        **setting,
        "verdict": result.verdict,
        "missed": [criterion.name for criterion in result.report.gate if not criterion.passed],
        "refused": after.refusal_rate,
        "false_refusals": after.false_refusal_rate,
        "retained_before": before.test_accuracy,
        "retained_after": after.test_accuracy,
        "raw_forget_accuracy": after.raw_forget_accuracy,
        "refused_by_class": after.refusal_by_class,
        "method_seconds": seconds["method"],
        "measuring_seconds": seconds["measuring"],
    }


def every_setting(name: str, model: Classifier, data: Dataset, edit: Edit) -> list[Row]:
    """The class of `edit`, forgotten from `model` with every strategy, scope and refusal."""
    settings = product(get_args(Strategy), get_args(Scope), get_args(Refusal))
    return [
        forget(name, model, data, replace(edit, strategy=strategy, scope=scope, refusal=refusal))[1]
        for strategy, scope, refusal in settings
    ]


def stack(name: str, model: Classifier, data: Dataset, edit: Edit, classes: Iterable[int]) -> list[Row]:
    """One request after the other, whatever the verdicts."""
    found = []
    for number in classes:
        model, forgotten = forget(name, model, data, replace(edit, classes=(number,), pushed=model.forgotten_classes))
        found.append(forgotten)
    return found


def run(arguments: argparse.Namespace, data: Dataset) -> Iterator[dict[str, Any]]:
    """Every figure so far, as JSON values, after every seed of every network."""
    trained: list[Row] = []
    requests: dict[str, list[Row]] = {"single": [], "stacked": [], "guarded": []}
    for name, seed in product(arguments.architecture, arguments.seeds):
        trained.append(_measure(arguments, data, name, seed, requests))
        yield {
            "dataset": data.name,
            "quick": arguments.quick,
            "seeds": arguments.seeds,
            "classes": arguments.classes,
            "settings_classes": arguments.settings_classes,
            "arguments": " ".join(sys.argv[1:]),
            "machine": {**machine(), "threads": torch.get_num_threads()},
            "trained": trained,
            **requests,
            "settings": [entry for entry in requests["single"] if entry["seed"] in arguments.settings_seeds],
            "remarks": [],
        }


def _measure(arguments: argparse.Namespace, data: Dataset, name: str, seed: int, requests: dict[str, list[Row]]) -> Row:
    """One network of one seed: add its requests, and say what its training was."""
    steps = _QUICK_PUSH if arguments.quick else None
    training = Training(seed=seed, epochs=1) if arguments.quick else Training(seed=seed)
    model, trained = train(name, data, training, arguments.classes[0], steps or SHORT_PUSH)
    guard = GuardParameters(steps=steps) if steps else GuardParameters()
    edit = Edit((), parameters=EditParameters(push_steps=steps), seed=seed, guard=guard)
    for number in arguments.classes:
        request = replace(edit, classes=(number,))
        if number in arguments.settings_classes and seed in arguments.settings_seeds:
            requests["single"] += every_setting(name, model, data, request)
        else:
            requests["single"].append(forget(name, model, data, request)[1])
    requests["stacked"] += stack(name, model, data, edit, STACK[:2] if arguments.quick else STACK)
    pairs = GUARDED[:1] if arguments.quick else GUARDED
    requests["guarded"] += [forget_behind_guard(name, model, data, pair, edit) for pair in pairs]
    return trained


def main() -> None:
    """Measure and write."""
    parser = STUDY.parser("docs/benchmarks")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--classes", type=int, nargs="+", help="default: all")
    parser.add_argument("--settings-classes", type=int, nargs="+", help="classes to try every setting on; default: all")
    parser.add_argument("--settings-seeds", type=int, nargs="*", help="seeds to try every setting with; default: all")
    add_architectures(parser, "mlp", "cnn")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--quick", action="store_true", help="one seed, one class and one epoch, to see that it runs")
    arguments = parser.parse_args()
    prepare()
    data = dataset(arguments.dataset)
    few = slice(1 if arguments.quick else None)
    arguments.seeds = arguments.seeds[few]
    arguments.classes = (arguments.classes or list(range(data.num_classes)))[few]
    arguments.settings_classes = arguments.settings_classes or arguments.classes
    if arguments.settings_seeds is None:
        arguments.settings_seeds = arguments.seeds
    for figures in run(arguments, data):
        write(arguments.output / "forgetting.json", figures)
        write(arguments.output / "forgetting.md", report(figures))
