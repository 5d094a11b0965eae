"""What learning in shards costs in accuracy, and what it saves when samples are forgotten."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import mean

import torch

from app.specs.architectures import Mlp
from app.specs.learning import Sisa
from app.specs.sharding import expected_share
from app.specs.training import Training
from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.judging.measurements import version_metrics
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.sisa.learning import Recipe, forget_samples, provenance_of, train_sharded
from app.unlearning.learning.training import fit
from app.unlearning.sample_partition import of_samples
from benchmarks.study import Study, dataset, prepare
from benchmarks.writing import table

STUDY = Study(
    "sisa",
    "accuracy and training time in 5 shards of 3 slices beside one network, and the work of forgetting 1, 10 and 500 samples",
    "the tables of docs/sisa.md to the standard output",
    minutes=10,
    gibibytes=1.2,
)

ARCHITECTURE, LEARNING, TRAINING = Mlp(), Sisa(), Training()
DRAWS = {1: 50, 10: 20, 500: 2}
"""Requests of each size: a few samples may all lie in early slices, or in late ones."""


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


def forgetting(data: Dataset, trained: Trained, num_samples: int) -> list[str]:
    """A line of the table: share of the images that training anew passes."""
    rows, shares = provenance_of(trained.model).rows, []
    for draw in range(DRAWS[num_samples]):
        generator = torch.Generator().manual_seed(1000 + draw)
        samples = rows[torch.randperm(len(rows), generator=generator)[:num_samples]].tolist()
        shares.append(forget_samples(Case(Parent(trained.model), data, of_samples(data, samples)), Context()).work)
    expected = expected_share(LEARNING, TRAINING.epochs, num_samples)
    return [str(num_samples), f"{expected:.1%}", f"{mean(shares):.1%}", f"{min(shares):.1%} to {max(shares):.1%}"]


def main() -> None:
    """Train both ways and forget."""
    parser = STUDY.parser()
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    prepare(threads=1)
    data = dataset()
    rows = []
    for seed in seeds:
        whole, shards = standard(data, seed), in_shards(data, seed)
        rows.append([seed, *(f"{one.accuracy:.2%} | {one.seconds:.1f}" for one in (whole, shards))])
    print("\n".join(table(["seed", "standard", "seconds", "in shards", "seconds"], rows)))
    forgotten = [forgetting(data, shards, num_samples) for num_samples in DRAWS]
    print("\n".join(table(["samples", "expected", "mean", "least to most"], forgotten)))


if __name__ == "__main__":
    main()
