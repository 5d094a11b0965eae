"""Training and forgetting beside a bare loop: the same batches, the same optimizer, over the same tensors."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch.nn import functional

from app.specs.request import ForgetSpec
from app.specs.target import Target
from app.specs.training import Training
from app.unlearning.case import Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset, images_as_float
from app.unlearning.forgetting import forget as forget_by
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit
from benchmarks.study import ARCHITECTURES, Study, add_architectures, dataset, machine, prepare
from benchmarks.writing import number, section, table, write

STUDY = Study(
    "training",
    "seconds of training and of forgetting beside a bare loop over the same batches, in turns",
    "docs/benchmarks/training.md and training.json",
    minutes=12,
    gibibytes=1.4,
    notes="The machine must have nothing else to do.",
)

FORGOTTEN = 2


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


def turn(name: str, data: Dataset, seed: int) -> dict[str, float]:
    """Seconds of one default training by the bare loop and by the product, and of the default request to forget."""
    training = Training(seed=seed)
    networks = [build(ARCHITECTURES[name], data.input_shape, data.num_classes, seed) for _ in range(2)]
    bare = bare_loop(networks[0], data, training)
    product = fit(networks[1], data, data.train_rows, training, Context()).seconds
    forget = forget_by(Parent(networks[1]), data, ForgetSpec(Target((FORGOTTEN,)), seed=seed), Context()).report.seconds
    return {
        "training": product,
        "bare": bare,
        "ratio": product / bare,
        "forget": forget["method"],
        "forget_per_epoch": forget["method"] / (product / training.epochs),
        "forget_per_retraining": forget["method"] / product,
        "measuring": forget["measuring"],
    }


def report(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    training = Training()
    turns = figures["turns"]
    lines = [
        f"MNIST, {training.epochs} epochs, batches of {training.batch_size}, {figures['threads']} threads on",
        f"{figures['cores']} cores; medians of {figures['repetitions']} turns. Wall seconds. *Forget* is the default",
        f"request for class {FORGOTTEN}, the method alone; *measuring* is before and after. A retraining takes as long as the",
        "training. The bare loop converts all images to float once, and keeps no progress, schedule or guard.",
        f"Written by `{STUDY.command} --architecture {' '.join(turns)}`; raw figures:",
        "[training.json](training.json).",
    ]
    head = ["network", "training", "bare loop", "ratio", "forget", "per epoch", "per retraining", "measuring"]
    rows = [
        [name, *(number(statistics.median(turn[part] for turn in own), 2) for part in own[0])]
        for name, own in turns.items()
    ]
    return "\n".join([*section("# Training and forgetting, timed", "\n".join(lines)), *table(head, rows)])


def main() -> None:
    """Measure and write."""
    parser = STUDY.parser("docs/benchmarks")
    parser.add_argument("--repetitions", type=int, default=5)
    add_architectures(parser, "mlp", "cnn")
    asked = parser.parse_args()
    prepare()
    data = dataset()
    figures = {
        "repetitions": asked.repetitions,
        "threads": torch.get_num_threads(),
        "cores": machine()["cores"],
        "turns": {name: [turn(name, data, seed) for seed in range(asked.repetitions)] for name in asked.architecture},
    }
    write(asked.output / "training.json", figures)
    write(asked.output / "training.md", report(figures))


if __name__ == "__main__":
    main()
