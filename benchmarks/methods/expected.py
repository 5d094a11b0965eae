"""What methods are expected to take beside what they take: python -m benchmarks.methods.expected [--architecture mlp cnn]."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from app import specs
from app.datasets.loading import load
from app.method_specs import METHOD_SPECS, Unlearning
from app.operations import choosing, costs
from app.settings import Settings
from app.unlearning.architectures import Classifier, build
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.forgetting import forget
from app.unlearning.partition import Partition
from app.unlearning.training import fit

ARCHITECTURES: dict[str, specs.Architecture] = {"mlp": specs.Mlp(), "cnn": specs.Cnn()}
FORGOTTEN = 3
TRAINING = specs.Training(epochs=3)


def main() -> None:
    """Print a table in Markdown: a row for each method, expected and measured seconds for each architecture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", nargs="+", choices=ARCHITECTURES, default=list(ARCHITECTURES))
    parser.add_argument("--home", type=Path, default=Path("models_store"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    data = load("mnist", Settings(home=chosen.home, download=False)).dataset
    for name in chosen.architecture:
        compare_costs(name, data)


def compare_costs(name: str, data: Dataset) -> None:
    """Train, then forget one class by every method that applies."""
    model = build(ARCHITECTURES[name], data.input_shape, data.num_classes, 0)
    fitted = fit(model, data, data.train_rows, TRAINING, Context())
    counts = torch.bincount(data.train_labels[data.train_rows], minlength=data.num_classes).tolist()
    seconds_per_image = fitted.seconds / (fitted.epochs * sum(counts))
    rows = costs.TrainedRows(counts, seconds_per_image, name, "standard", float(fitted.epochs))
    work = costs.Work(rows, counts[FORGOTTEN], sum(counts) - counts[FORGOTTEN])
    print(f"\n{name}: training {fitted.seconds:.1f} s\n\n| method | expected s | measured s | ratio | tries |")
    print("|---|---|---|---|---|")
    for method in ("edit", *METHOD_SPECS):
        if method != "sisa":
            print_row(method, work, model, data)


def print_row(method: str, work: costs.Work, model: Classifier, data: Dataset) -> None:
    """One method with its refusal; measuring and verifying, which are the same of all, are left out on both sides."""
    partition = Partition.of(data, [FORGOTTEN])
    measuring = work.measuring() * work.rows.seconds_per_image
    expected = work.seconds(method, choosing.default_parameters(method), "calibrate") - measuring
    report = forget(model, data, partition, asked_of(method), Context()).report
    taken = report.seconds["method"]
    tries = len(report.settings.get("chosen", {}).get("tried", []))
    print(f"| `{method}` | {expected:.1f} | {taken:.1f} | {expected / taken:.2f} | {tries or ''} |", flush=True)


def asked_of(method: str) -> specs.Edit | Unlearning:
    """With default parameters."""
    if method == "edit":
        return specs.Edit((FORGOTTEN,), refusal="calibrate")
    parameters: Any = choosing.default_parameters(method)
    if method == "retrain":
        parameters = replace(parameters, training=TRAINING)
    return Unlearning(method=costs.METHOD_NAMES[method], parameters=parameters, refusal="calibrate")


if __name__ == "__main__":
    main()
