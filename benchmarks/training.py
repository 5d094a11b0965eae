"""Training beside a bare loop: the same batches, the same optimizer, over the same tensors.

    python -m benchmarks.training [--repetitions 5] [--architecture mlp] [--output docs/benchmarks]

Both run in turns, so that what else the machine does meets both; the ratio is the median of the ratios of each turn.
Writes training.md and training.json.
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
from app.specs import Training
from app.unlearning.architectures import build
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.training import fit
from benchmarks.forgetting import ARCHITECTURES, bare_loop


def turn(name: str, data: Dataset, seed: int) -> dict[str, float]:
    """Seconds of one default training by the product, and of one by the bare loop."""
    training = Training(seed=seed)
    networks = [build(ARCHITECTURES[name], data.input_shape, data.num_classes, seed) for _ in range(2)]
    bare = bare_loop(networks[0], data, training)
    product = fit(networks[1], data, data.train_rows, training, Context()).seconds
    return {"product": product, "bare": bare, "ratio": product / bare}


def report(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    median = {part: statistics.median(entry[part] for entry in figures["turns"]) for part in figures["turns"][0]}
    training = Training()
    return "\n".join(
        [
            "# Training",
            "",
            f"{figures['architecture']} on mnist, {training.epochs} epochs, batches of {training.batch_size},",
            f"{figures['threads']} threads on {figures['cores']} cores; medians of {len(figures['turns'])} turns of both.",
            f"Written by `python -m benchmarks.training --architecture {figures['architecture']}`; raw figures:",
            "[training.json](training.json).",
            "",
            "| product | bare loop | ratio |",
            "|---|---|---|",
            f"| {median['product']:.2f} s | {median['bare']:.2f} s | {median['ratio']:.2f} |",
            "",
            "The bare loop converts all images to float once, and keeps no progress, schedule or guard.",
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--architecture", choices=list(ARCHITECTURES), default="mlp")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        data = load("mnist", Settings(home=Path(home))).dataset
        turn(asked.architecture, data, 0)  # the first use of an optimizer loads torch's compiler: not to be timed
        figures = {
            "architecture": asked.architecture,
            "threads": torch.get_num_threads(),
            "cores": len(os.sched_getaffinity(0)),
            "turns": [turn(asked.architecture, data, seed) for seed in range(asked.repetitions)],
        }
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "training.json").write_text(json.dumps(figures, indent=1) + "\n")
    (asked.output / "training.md").write_text(report(figures))


if __name__ == "__main__":
    main()
