"""What learning in shards costs in accuracy, and what it saves when samples are forgotten: `docs/sisa.md` has the table.

`python -m benchmarks.sisa` prints it: MNIST, the default network, 5 shards of 3 slices, one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import torch

from app.datasets.loading import load
from app.settings import Settings
from app.sharding import expected_share
from app.specs import Mlp, Sisa, Training
from app.unlearning.architectures import Classifier, build
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.sample_partition import of_samples
from app.unlearning.sisa.learning import Recipe, forget_samples, provenance_of, train_sharded
from app.unlearning.training import fit
from app.unlearning.verification import version_metrics

ARCHITECTURE, LEARNING, TRAINING = Mlp(), Sisa(), Training()
NUM_SAMPLES = (1, 10, 500)
DRAWS = {1: 50, 10: 20, 500: 2}
"""So many requests of each size, since few samples may lie in early slices or in late ones."""


@dataclass(frozen=True)
class Trained:
    """A model, its test accuracy, and the wall seconds of its training."""

    model: Classifier
    accuracy: float
    seconds: float


def standard(data: Dataset, seed: int) -> Trained:
    """All rows in one network."""
    model = build(ARCHITECTURE, data.input_shape, data.num_classes, seed)
    fitted = fit(model, data, data.train_rows, replace(TRAINING, seed=seed), Context())
    return Trained(model, version_metrics(model, data).test_accuracy, fitted.seconds)


def in_shards(data: Dataset, seed: int) -> Trained:
    """The same rows in shards."""
    recipe = Recipe(ARCHITECTURE, LEARNING, replace(TRAINING, seed=seed))
    began = time.perf_counter()
    model = train_sharded(recipe, data, data.train_rows, Context())
    return Trained(model, version_metrics(model, data).test_accuracy, time.perf_counter() - began)


def forgetting(data: Dataset, trained: Trained, num_samples: int) -> str:
    """A line of the table: share of the images that training anew passes."""
    rows, shares = provenance_of(trained.model).rows, []
    for draw in range(DRAWS[num_samples]):
        generator = torch.Generator().manual_seed(1000 + draw)
        samples = rows[torch.randperm(len(rows), generator=generator)[:num_samples]].tolist()
        shares.append(forget_samples(trained.model, data, of_samples(data, samples), Context()).work)
    expected = expected_share(LEARNING, TRAINING.epochs, num_samples)
    return f"| {num_samples} | {expected:.1%} | {mean(shares):.1%} | {min(shares):.1%} to {max(shares):.1%} |"


def main() -> None:
    """Train both ways and forget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), download=False)
        data = load("mnist", settings, lambda _fraction, _stage, _message: None).dataset
    print("| seed | standard | seconds | in shards | seconds |\n|---|---|---|---|---|")
    for seed in seeds:
        whole, shards = standard(data, seed), in_shards(data, seed)
        print(f"| {seed} | {whole.accuracy:.2%} | {whole.seconds:.1f} | {shards.accuracy:.2%} | {shards.seconds:.1f} |")
    print("\n| samples | expected | mean | least to most |\n|---|---|---|---|")
    for num_samples in NUM_SAMPLES:
        print(forgetting(data, shards, num_samples))


if __name__ == "__main__":
    main()
