"""Forgetting, measured: refusal, false refusals, retained accuracy and time, over seeds, classes and settings.

    python -m benchmarks.forgetting [--seeds 0 1 2] [--classes 0 … 9] [--architecture mlp cnn] [--dataset mnist]
                                    [--settings-classes …] [--settings-seeds …] [--quick] [--output docs/benchmarks]

Everything is measured on the test set, which decides nothing: thresholds and verdicts come from the calibration split.
Writes forgetting.md and forgetting.json, anew after every seed. `--quick` takes one seed, one class and one epoch, to
see that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import torch
from torch.nn import functional

from app.datasets.loading import load
from app.method_parameters import EukParameters
from app.method_specs import Unlearning
from app.settings import Settings
from app.specs import Architecture, Cnn, Edit, EditParameters, GuardParameters, Mlp, Refusal, Scope, Strategy, Training
from app.unlearning.architectures import Classifier, build
from app.unlearning.context import Context
from app.unlearning.data import Dataset, images_as_float
from app.unlearning.forgetting import Unlearned, forget_classes
from app.unlearning.forgetting import forget as forget_by_method
from app.unlearning.partition import Partition
from app.unlearning.training import Fit, fit
from app.unlearning.verification import version_metrics
from benchmarks.forgetting.report import report

ARCHITECTURES: dict[str, Architecture] = {"mlp": Mlp(), "cnn": Cnn()}
STACK = (2, 5, 8)
GUARDED = ((2, 5), (4, 9))
"""Two classes each, forgotten in one request: one pair that is unlike, and the two digits that are confused most."""
SHORT_PUSH = 150
_QUICK_PUSH = 30
_CONTEXT = Context()


@dataclass(frozen=True)
class Forgotten:
    """One forget request and what came of it on the test set."""

    architecture: str
    seed: int
    forgotten: tuple[int, ...]
    """Classes forgotten so far, the last one by this request."""
    method: str
    strategy: Strategy
    scope: Scope
    refusal: Refusal
    verdict: str
    missed: tuple[str, ...]
    """Criteria of the gate that did not hold."""
    refused: float
    false_refusals: float
    retained_before: float
    retained_after: float
    raw_forget_accuracy: float
    refused_by_class: dict[str, float]
    method_seconds: float
    measuring_seconds: float


@dataclass(frozen=True)
class Trained:
    """One training with the default settings, and what other work took on the same machine, in seconds."""

    architecture: str
    seed: int
    test_accuracy: float
    seconds: float
    bare_seconds: float
    """The same batches in a loop of eight lines, over images converted to float once."""
    epochs: int
    retrain_seconds: float
    """Training anew without the first class measured."""
    short_push_seconds: float
    """Forgetting it with a push of 150 steps."""


def bare_loop(model: Classifier, data: Dataset, training: Training) -> float:
    """The seconds of the shortest loop that does the same work with the same optimizer."""
    start = time.perf_counter()
    images, labels = images_as_float(data.train_images), data.train_labels
    optimizer = torch.optim.Adam(model.parameters(), lr=training.learning_rate, fused=True)
    generator = torch.Generator().manual_seed(training.seed)
    model.train()
    for _ in range(training.epochs):
        order = data.train_rows[torch.randperm(len(data.train_rows), generator=generator)]
        for begin in range(0, len(order), training.batch_size):
            batch = order[begin : begin + training.batch_size]
            loss = functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
            optimizer.step()
    return time.perf_counter() - start


def train(
    name: str, data: Dataset, training: Training, forget_class: int, push_steps: int
) -> tuple[Classifier, Trained]:
    """A model trained with `training`, and the times to compare forgetting with."""

    def fresh() -> Classifier:
        return build(ARCHITECTURES[name], data.input_shape, data.num_classes, training.seed)

    model = fresh()
    fitted = fit(model, data, data.train_rows, training, _CONTEXT)
    bare_seconds = bare_loop(fresh(), data, training)
    retrained: Fit = fit(fresh(), data, Partition.of(data, [forget_class]).train.retain, training, _CONTEXT)
    short = Edit((forget_class,), parameters=EditParameters(push_steps=push_steps), seed=training.seed)
    return model, Trained(
        architecture=name,
        seed=training.seed,
        test_accuracy=version_metrics(model, data).test_accuracy,
        seconds=fitted.seconds,
        bare_seconds=bare_seconds,
        epochs=fitted.epochs,
        retrain_seconds=retrained.seconds,
        short_push_seconds=forget_classes(model, data, short, _CONTEXT).report.seconds["method"],
    )


def forget(name: str, model: Classifier, data: Dataset, edit: Edit) -> tuple[Classifier, Forgotten]:
    """One request, and its figures."""
    result = forget_classes(model, data, edit, _CONTEXT)
    return result.model, _figures(name, model, edit, result)


def forget_behind_guard(name: str, model: Classifier, data: Dataset, classes: tuple[int, ...], edit: Edit) -> Forgotten:
    """The last layers begin anew without these classes, and the guard of `edit` refuses them."""
    asked = Unlearning("euk", EukParameters(), refusal="guard", guard=edit.guard, seed=edit.seed)
    result = forget_by_method(model, data, Partition.of(data, classes), asked, _CONTEXT)
    return _figures(name, model, replace(edit, classes=classes, refusal="guard"), result, "euk")


def _figures(name: str, model: Classifier, edit: Edit, result: Unlearned, method: str = "edit") -> Forgotten:
    before, after = result.report.before, result.report.after
    found = Forgotten(
        architecture=name,
        seed=edit.seed,
        forgotten=(*model.forgotten_classes, *edit.classes),
        method=method,
        strategy=edit.strategy,
        scope=edit.scope,
        refusal=edit.refusal,
        verdict=result.verdict,
        missed=_missed(result),
        refused=_counted(after.refusal_rate),
        false_refusals=_counted(after.false_refusal_rate),
        retained_before=_counted(before.test_accuracy),
        retained_after=_counted(after.test_accuracy),
        raw_forget_accuracy=_counted(after.raw_forget_accuracy),
        refused_by_class=after.refusal_by_class,
        method_seconds=result.report.seconds["method"],
        measuring_seconds=result.report.seconds["measuring"],
    )
    print(
        f"{name} seed {edit.seed} {found.forgotten} {method} {edit.strategy}/{edit.scope}/{edit.refusal}: {found.refused:.4f}",
        flush=True,
    )
    return found


def _missed(result: Unlearned) -> tuple[str, ...]:
    return tuple(criterion.name for criterion in result.report.gate if not criterion.passed)


def _counted(share: float | None) -> float:
    assert share is not None, "the test set has inputs of every class"
    return share


def every_setting(name: str, model: Classifier, data: Dataset, edit: Edit) -> list[Forgotten]:
    """The class of `edit`, forgotten from `model` with every strategy, scope and refusal."""
    settings = product(get_args(Strategy), get_args(Scope), get_args(Refusal))
    return [
        forget(name, model, data, replace(edit, strategy=strategy, scope=scope, refusal=refusal))[1]
        for strategy, scope, refusal in settings
    ]


def stack(name: str, model: Classifier, data: Dataset, edit: Edit, classes: Iterable[int]) -> list[Forgotten]:
    """One request after the other, whatever the verdicts."""
    found = []
    for number in classes:
        model, forgotten = forget(name, model, data, replace(edit, classes=(number,), pushed=model.forgotten_classes))
        found.append(forgotten)
    return found


def run(arguments: argparse.Namespace, data: Dataset) -> Iterator[dict[str, Any]]:
    """Every figure so far, as JSON values, after every seed of every network."""
    torch.optim.Adam(
        [torch.nn.Parameter(torch.zeros(1))]
    )  # torch's first optimizer loads its compiler: not to be timed
    steps = _QUICK_PUSH if arguments.quick else None
    trained: list[Trained] = []
    single: list[Forgotten] = []
    stacked: list[Forgotten] = []
    guarded: list[Forgotten] = []
    for name, seed in product(arguments.architecture, arguments.seeds):
        training = Training(seed=seed, epochs=1) if arguments.quick else Training(seed=seed)
        model, times = train(name, data, training, arguments.classes[0], steps or SHORT_PUSH)
        trained.append(times)
        guard = GuardParameters(steps=steps) if steps else GuardParameters()
        edit = Edit((), parameters=EditParameters(push_steps=steps), seed=seed, guard=guard)
        for number in arguments.classes:
            request = replace(edit, classes=(number,))
            if number in arguments.settings_classes and seed in arguments.settings_seeds:
                single += every_setting(name, model, data, request)
            else:
                single.append(forget(name, model, data, request)[1])
        stacked += stack(name, model, data, edit, STACK[:2] if arguments.quick else STACK)
        guarded += [
            forget_behind_guard(name, model, data, pair, edit) for pair in GUARDED[: 1 if arguments.quick else 2]
        ]
        yield {
            "dataset": data.name,
            "quick": arguments.quick,
            "seeds": arguments.seeds,
            "classes": arguments.classes,
            "settings_classes": arguments.settings_classes,
            "arguments": " ".join(sys.argv[1:]),
            "machine": {
                "processor": platform.processor() or platform.machine(),
                "cores": len(os.sched_getaffinity(0)),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            },
            "trained": [asdict(entry) for entry in trained],
            "single": [asdict(entry) for entry in single],
            "settings": [asdict(entry) for entry in single if entry.seed in arguments.settings_seeds],
            "remarks": [],
            "stacked": [asdict(entry) for entry in stacked],
            "guarded": [asdict(entry) for entry in guarded],
        }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--classes", type=int, nargs="+", help="default: all")
    parser.add_argument("--settings-classes", type=int, nargs="+", help="classes to try every setting on; default: all")
    parser.add_argument("--settings-seeds", type=int, nargs="*", help="seeds to try every setting with; default: all")
    parser.add_argument("--architecture", choices=list(ARCHITECTURES), nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        data = load(arguments.dataset, Settings(home=Path(home))).dataset
        arguments.seeds = arguments.seeds[:1] if arguments.quick else arguments.seeds
        arguments.classes = arguments.classes or list(range(data.num_classes))
        arguments.classes = arguments.classes[:1] if arguments.quick else arguments.classes
        arguments.settings_classes = arguments.settings_classes or arguments.classes
        if arguments.settings_seeds is None:
            arguments.settings_seeds = arguments.seeds
        arguments.output.mkdir(parents=True, exist_ok=True)
        for figures in run(arguments, data):
            (arguments.output / "forgetting.json").write_text(json.dumps(figures, indent=1) + "\n")
            (arguments.output / "forgetting.md").write_text(report(figures))
