"""What methods are expected to take beside what they take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from app import specs
from app.method_specs import METHOD_SPECS, Unlearning
from app.operations import choosing, costs
from app.unlearning.architectures import Classifier, build
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.forgetting import forget
from app.unlearning.partition import Partition
from app.unlearning.training import fit
from benchmarks.study import ARCHITECTURES, Study, add_architectures, dataset, prepare
from benchmarks.writing import number, table

STUDY = Study(
    "methods.expected",
    "the seconds that every method is expected to take beside those that it takes, for a class",
    "the table of docs/choosing.md to the standard output",
    minutes=10,
    gibibytes=1.4,
)

FORGOTTEN = 3
TRAINING = specs.Training(epochs=3)


def main() -> None:
    """Print a table for each network: expected and measured seconds of every method."""
    parser = STUDY.parser()
    add_architectures(parser, "mlp", "cnn")
    chosen = parser.parse_args()
    prepare(threads=1)
    data = dataset()
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
    print(f"\n{name}: training {fitted.seconds:.1f} s\n")
    compared_rows = [compared(method, work, model, data) for method in ("edit", *METHOD_SPECS) if method != "sisa"]
    print("\n".join(table(["method", "expected s", "measured s", "ratio", "tries"], compared_rows)))


def compared(method: str, work: costs.Work, model: Classifier, data: Dataset) -> list[str]:
    """One method with its refusal; measuring and verifying, which are the same of all, are left out on both sides."""
    partition = Partition.of(data, [FORGOTTEN])
    measuring = work.measuring() * work.rows.seconds_per_image
    expected = work.seconds(method, choosing.default_parameters(method), "calibrate") - measuring
    report = forget(model, data, partition, asked_of(method), Context()).report
    taken = report.seconds["method"]
    tries = len(report.settings.get("chosen", {}).get("tried", []))
    return [f"`{method}`", number(expected, 1), number(taken, 1), number(expected / taken, 2), str(tries or "")]


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
