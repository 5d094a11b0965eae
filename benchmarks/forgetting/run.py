"""Forgetting, measured: refusal, false refusals, retained accuracy and time, over seeds, classes and settings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import torch

from app.specs.methods.edit import EditSettings, Scope, Strategy
from app.specs.methods.euk import EukParameters
from app.specs.refusing import GuardParameters, Refusal
from app.specs.request import ForgetSpec
from app.specs.target import Target
from app.specs.training import Training
from app.unlearning.case import Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.forgetting import Unlearned
from app.unlearning.forgetting import forget as forget_by
from app.unlearning.judging.measurements import version_metrics
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit
from app.unlearning.partition import Partition
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
    short = ForgetSpec(Target((forget_class,)), parameters=EditSettings(push_steps=push_steps), seed=training.seed)
    return model, {
        "architecture": name,
        "seed": training.seed,
        "test_accuracy": version_metrics(model, data).test_accuracy,
        "seconds": fitted.seconds,
        "bare_seconds": bare_seconds,
        "epochs": fitted.epochs,
        "retrain_seconds": retrained.seconds,
        "short_push_seconds": forget_by(Parent(model), data, short, _CONTEXT).report.seconds["method"],
    }


def forget(name: str, parent: Parent, data: Dataset, spec: ForgetSpec) -> tuple[Classifier, Row]:
    """One request, and its figures."""
    result = forget_by(parent, data, spec, _CONTEXT)
    return result.model, _figures(name, parent.network, spec, result)


def forget_behind_guard(name: str, model: Classifier, data: Dataset, classes: tuple[int, ...], edit: ForgetSpec) -> Row:
    """The last layers begin anew without these classes, and the guard of `edit` refuses them."""
    spec = replace(edit, target=Target(classes), method="euk", parameters=EukParameters(), refusal="guard")
    return forget(name, Parent(model), data, spec)[1]


def _figures(name: str, model: Classifier, spec: ForgetSpec, result: Unlearned) -> Row:
    before, after, seconds = result.report.before, result.report.after, result.report.seconds
    forgotten = (*model.forgotten_classes, *spec.target.classes)
    chosen = spec.parameters if isinstance(spec.parameters, EditSettings) else EditSettings()
    setting = {"strategy": chosen.strategy, "scope": chosen.scope, "refusal": spec.refusal}
    print(
        f"{name} seed {spec.seed} {forgotten} {spec.method} {'/'.join(setting.values())}: {after.refusal_rate:.4f}",
        flush=True,
    )
    return {
        "architecture": name,
        "seed": spec.seed,
        "forgotten": forgotten,
        "method": spec.method,
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


def every_setting(name: str, model: Classifier, data: Dataset, edit: ForgetSpec) -> list[Row]:
    """The class of `edit`, forgotten from `model` with every strategy, scope and refusal."""
    settings = product(get_args(Strategy), get_args(Scope), get_args(Refusal))
    return [
        forget(name, Parent(model), data, replace(edit, parameters=_settings(edit, strategy, scope), refusal=refusal))[
            1
        ]
        for strategy, scope, refusal in settings
    ]


def _settings(edit: ForgetSpec, strategy: Strategy, scope: Scope) -> EditSettings:
    assert isinstance(edit.parameters, EditSettings)
    return replace(edit.parameters, strategy=strategy, scope=scope)


def stack(name: str, model: Classifier, data: Dataset, edit: ForgetSpec, classes: Iterable[int]) -> list[Row]:
    """One request after the other, whatever the verdicts."""
    found = []
    for number in classes:
        parent = Parent(model, pushed=model.forgotten_classes)
        model, forgotten = forget(name, parent, data, replace(edit, target=Target((number,))))
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
    edit = ForgetSpec(Target(), parameters=EditSettings(push_steps=steps), seed=seed, guard=guard)
    for number in arguments.classes:
        request = replace(edit, target=Target((number,)))
        if number in arguments.settings_classes and seed in arguments.settings_seeds:
            requests["single"] += every_setting(name, model, data, request)
        else:
            requests["single"].append(forget(name, Parent(model), data, request)[1])
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
