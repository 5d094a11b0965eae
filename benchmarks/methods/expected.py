"""What methods are expected to take beside what they take."""

from __future__ import annotations

import torch

from app.operations.forgetting import costs
from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.retrain import RetrainParameters
from app.specs.methods.work import TrainedRows, Work
from app.specs.request import ForgetSpec
from app.specs.target import Target
from app.specs.training import Training
from app.unlearning.case import Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.forgetting import forget
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit
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
TRAINING = Training(epochs=3)


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
    rows = TrainedRows(counts, seconds_per_image, name, "standard", float(fitted.epochs))
    work = Work(rows, counts[FORGOTTEN], sum(counts) - counts[FORGOTTEN])
    print(f"\n{name}: training {fitted.seconds:.1f} s\n")
    compared_rows = [compared(method, work, model, data) for method in METHOD_SPECS if method != "sisa"]
    print("\n".join(table(["method", "expected s", "measured s", "ratio", "tries"], compared_rows)))


def compared(method: str, work: Work, model: Classifier, data: Dataset) -> list[str]:
    """One method with its refusal; measuring and verifying, which are the same of all, are left out on both sides."""
    spec = asked_of(method)
    measuring = costs.measuring(work) * work.rows.seconds_per_image
    expected = costs.seconds(work, method, spec.parameters, spec.refusal) - measuring
    report = forget(Parent(model), data, spec, Context()).report
    taken = report.seconds["method"]
    tries = len(report.settings.get("chosen", {}).get("tried", []))
    return [f"`{method}`", number(expected, 1), number(taken, 1), number(expected / taken, 2), str(tries or "")]


def asked_of(method: MethodName) -> ForgetSpec:
    """With default parameters."""
    spec = METHOD_SPECS[method]
    parameters = (
        RetrainParameters(training=TRAINING) if method == "retrain" else spec.told(spec.parameters(), spec.beside)
    )
    return ForgetSpec(Target((FORGOTTEN,)), method, parameters, "calibrate")


if __name__ == "__main__":
    main()
