"""What the fast verification of a forget request costs beside one epoch of training, in CPU seconds of one thread.

Three references; an epoch is timed beside each of the requests, medians are of their ratios. How well the networks are
trained does not decide the cost: one epoch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from app.specs.methods.edit import EditParameters
from app.specs.methods.retrain import RetrainParameters
from app.specs.training import Training
from app.store.observations import Observations
from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.judging.verifying.claims import Sought
from app.unlearning.judging.verifying.deep_verification import verify
from app.unlearning.judging.verifying.kept import Shelf, observe_or_recall
from app.unlearning.judging.verifying.observations import draw_sets
from app.unlearning.judging.verifying.peers import Peers
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit
from app.unlearning.methods import METHODS
from app.unlearning.partition import Partition
from app.unlearning.sample_partition import of_samples
from benchmarks.methods.setting import NUM_SAMPLES
from benchmarks.study import ARCHITECTURES, Study, add_architectures, dataset, prepare
from benchmarks.writing import number, table

STUDY = Study(
    "verification",
    "CPU seconds of the fast verification beside those of one epoch, of a class and of samples",
    "the table of docs/verification.md to the standard output",
    minutes=6,
    gibibytes=1.2,
)

_CLASS = 5
_NUM_REFERENCES = 3
_RECIPE = Training(epochs=1)
_CONTEXT = Context()
_REQUESTS = {"nothing kept": (), "references kept": ("references",), "all kept": ("references", "original")}


@dataclass(frozen=True)
class Networks:
    """One that is to forget, the references, and a result."""

    original: Classifier
    references: Mapping[int, Classifier]
    result: Classifier


def networks(architecture: str, data: Dataset) -> Networks:
    """All but the original retrained without a class."""
    original = build(ARCHITECTURES[architecture], data.input_shape, data.num_classes, 0)
    fit(original, data, data.train_rows, _RECIPE, _CONTEXT)
    partition, recipe = Partition.of(data, [_CLASS]), RetrainParameters(training=_RECIPE)
    case = Case(Parent(original), data, partition)
    *references, result = [
        METHODS["retrain"].run(case, recipe, _CONTEXT, seed=seed).model for seed in range(1, _NUM_REFERENCES + 2)
    ]
    return Networks(original, dict(enumerate(references, 1)), result)


def epoch_seconds(original: Classifier, data: Dataset) -> float:
    """Of one more epoch of the same network."""
    model = build(original.architecture, data.input_shape, data.num_classes, 0)
    start = time.process_time()
    fit(model, data, data.train_rows, _RECIPE, _CONTEXT)
    return time.process_time() - start


def request_seconds(found: Networks, data: Dataset, partition: Partition, kept: tuple[str, ...]) -> float:
    """Of verifying the result where these models were looked at before."""
    with tempfile.TemporaryDirectory() as folder:
        files = Observations(Path(folder))
        shelf = Shelf(files.read, files.write, "the benchmark")
        sets = draw_sets(data, partition, "fast", 0)
        before = {"references": list(found.references.values()), "original": [found.original]}
        for model in (model for name in kept for model in before[name]):
            observe_or_recall(model, sets, _CONTEXT, shelf)
        sought = Sought("approximate", "none", EditParameters().utility_budget)
        peers = Peers(found.original, found.references, shelf=shelf)
        start = time.process_time()
        verify(found.result, sought, draw_sets(data, partition, "fast", 0), peers, _CONTEXT)
        return time.process_time() - start


def main() -> None:
    """Measure everything and print it as Markdown."""
    parser = STUDY.parser()
    add_architectures(parser, "mlp", "cnn")
    parser.add_argument("--repetitions", type=int, default=5)
    asked = parser.parse_args()
    prepare(threads=1)
    data = dataset()
    targets = {
        "a class": Partition.of(data, [_CLASS]),
        f"{NUM_SAMPLES} samples": of_samples(data, data.train_rows[:NUM_SAMPLES].tolist()),
    }
    rows = []
    for architecture in asked.architecture:
        found = networks(architecture, data)
        for target, partition in targets.items():
            rows.append([f"{architecture}, {target}", *_row(found, data, partition, asked.repetitions)])
    print("\n".join(table(["", "epoch, s", *_REQUESTS], rows)))


def _row(found: Networks, data: Dataset, partition: Partition, repetitions: int) -> list[str]:
    epochs: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in _REQUESTS}
    for _ in range(repetitions):
        epochs.append(epoch_seconds(found.original, data))
        for name, kept in _REQUESTS.items():
            ratios[name].append(request_seconds(found, data, partition, kept) / epochs[-1])
    return [number(median(each), 2) for each in (epochs, *ratios.values())]


if __name__ == "__main__":
    main()
