"""Training and forgetting beside a bare loop: the same batches, the same optimizer, over the same tensors.

    python -m benchmarks.training [--repetitions 5] [--architecture mlp cnn] [--output docs/benchmarks]

Both run in turns, so that what else the machine does meets both; ratios are medians of the ratios of each turn. Run it
on a machine with nothing else to do. Writes training.md and training.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from app.datasets.loading import load
from app.settings import Settings
from app.specs import Edit, Training
from app.unlearning.architectures import build
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.forgetting import forget_classes
from app.unlearning.training import fit
from benchmarks.forgetting.run import ARCHITECTURES, bare_loop

FORGOTTEN = 2


def turn(name: str, data: Dataset, seed: int) -> dict[str, float]:
    """Seconds of one default training by the bare loop and by the product, and of the default request to forget."""
    training = Training(seed=seed)
    networks = [build(ARCHITECTURES[name], data.input_shape, data.num_classes, seed) for _ in range(2)]
    bare = bare_loop(networks[0], data, training)
    product = fit(networks[1], data, data.train_rows, training, Context()).seconds
    forget = forget_classes(networks[1], data, Edit((FORGOTTEN,), seed=seed), Context()).report.seconds
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
    names = list(figures["turns"])
    return "\n".join(
        [
            "# Training and forgetting, timed",
            "",
            f"MNIST, {training.epochs} epochs, batches of {training.batch_size}, {figures['threads']} threads on",
            f"{figures['cores']} cores; medians of {figures['repetitions']} turns. Wall seconds. *Forget* is the default",
            f"request for class {FORGOTTEN}, the method alone; *measuring* is before and after. A retraining takes as long as the",
            "training. The bare loop converts all images to float once, and keeps no progress, schedule or guard.",
            f"Written by `python -m benchmarks.training --architecture {' '.join(names)}`; raw figures:",
            "[training.json](training.json).",
            "",
            "| network | training | bare loop | ratio | forget | per epoch | per retraining | measuring |",
            "|---|---|---|---|---|---|---|---|",
            *(_row(name, figures["turns"][name]) for name in names),
            "",
        ]
    )


def _row(name: str, turns: list[dict[str, float]]) -> str:
    cells = [f"{statistics.median(turn[part] for turn in turns):.2f}" for part in turns[0]]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--architecture", choices=list(ARCHITECTURES), nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    asked = parser.parse_args()
    torch.optim.Adam(
        [torch.nn.Parameter(torch.zeros(1))]
    )  # the first optimizer loads torch's compiler: not to be timed
    with tempfile.TemporaryDirectory() as home:
        data = load("mnist", Settings(home=Path(home))).dataset
        figures = {
            "repetitions": asked.repetitions,
            "threads": torch.get_num_threads(),
            "cores": len(os.sched_getaffinity(0)),
            "turns": {
                name: [turn(name, data, seed) for seed in range(asked.repetitions)] for name in asked.architecture
            },
        }
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "training.json").write_text(json.dumps(figures, indent=1) + "\n")
    (asked.output / "training.md").write_text(report(figures))


if __name__ == "__main__":
    main()
