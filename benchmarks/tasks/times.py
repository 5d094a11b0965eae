"""What learning tasks costs beside learning the same batches plainly; run on a machine with nothing else to do.

Both run in turns, so that what else the machine does meets both; ratios are medians of the ratios of each turn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.specs.learning import Standard, full_grown
from app.specs.training import ARCHITECTURE_OF_MODE, Training
from app.unlearning.data import Dataset
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit
from app.unlearning.partition import rows_of
from benchmarks.reproduction.setting import TASKS
from benchmarks.tasks.run import CONTEXT, LEARNING, default_training, fresh, learn

GOAL = {"synaptic_intelligence": 1.5, "progressive": 1.3}
"""How many times as long as plain training the mode may take at most."""


def run(data: Dataset, repetitions: int) -> dict[str, Any]:
    """Seconds of every turn, by mode: learning with the product, and the same batches plainly."""
    return {mode: [_turn(mode, data, seed) for seed in range(repetitions)] for mode in LEARNING}


def _turn(mode: str, data: Dataset, seed: int) -> dict[str, float]:
    training = default_training(mode, seed)
    contestants: list[tuple[str, Callable[[], float]]] = [
        ("plain", lambda: _plain_seconds(_plain(mode, data, seed), data, training)),
        ("learned", lambda: learn(mode, data, training).seconds),
    ]
    order = contestants if seed % 2 else contestants[::-1]
    return {name: measured() for name, measured in order}


def _plain(mode: str, data: Dataset, seed: int) -> Classifier:
    """The same network without importance; for a growing one a plain network of its full width."""
    if mode == "synaptic_intelligence":
        return fresh(mode, data, seed)
    learning = LEARNING[mode]
    architecture = full_grown(ARCHITECTURE_OF_MODE[learning.mode], learning)
    return build(architecture, data.input_shape, data.num_classes, seed, Standard())


def _plain_seconds(model: Classifier, data: Dataset, training: Training) -> float:
    """Wall seconds of fitting the same batches in the same order, the optimizer beginning anew with every task."""
    rows = [rows_of(data.train_labels, data.train_rows, classes) for classes in TASKS]
    start = time.perf_counter()
    for task, own in enumerate(rows):
        fit(model, data, own, replace(training, seed=training.seed + task), CONTEXT)
    return time.perf_counter() - start


def ratio(turns: list[dict[str, float]]) -> float:
    """Median over turns of learned : plain."""
    return statistics.median(turn["learned"] / turn["plain"] for turn in turns)
