"""How long a step of training takes with one thread and with one for each core, beside busy processes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional

from app.jobs.threads import usable_cores
from app.unlearning.learning.architectures import Classifier, build
from benchmarks.study import ARCHITECTURES, Study
from benchmarks.writing import number, table

STUDY = Study(
    "threads",
    "milliseconds of a step of training with one thread and with one for each core, beside busy processes",
    "a table of docs/operations/threads.md to the standard output",
    minutes=1,
    gibibytes=1,
    notes="The table is of no busy process, and of twice as many as there are cores.",
)

_BATCH = 128
_STEPS = {"mlp": 50, "cnn": 5, "gru": 5, "resnet18": 1}
"""Of each network, between two looks at the clock."""
_TRIES = 5


def main() -> None:
    """Measure everything and print it: medians, the numbers of threads taking turns."""
    parser = STUDY.parser()
    parser.add_argument("busy", type=int, help="processes that compute without end")
    busy = parser.parse_args().busy
    cores = usable_cores()
    head = [f"{_BATCH} rows, {busy} busy processes on {cores} cores", "1 thread", f"{cores} threads"]
    with _beside(busy):
        print("\n".join(table(head, [[name, *_medians(name, cores)] for name in _STEPS])))
    print(f"Load average at the end: {os.getloadavg()[0]:.1f}")


def _medians(name: str, cores: int) -> list[str]:
    model = build(ARCHITECTURES[name], (1, 28, 28), 10, seed=0).train()
    found: dict[int, list[float]] = {1: [], cores: []}
    for _ in range(_TRIES):
        for threads, times in found.items():
            times.append(_milliseconds(model, threads, _STEPS[name]))
    return [number(statistics.median(times), 1) for times in found.values()]


def _milliseconds(model: Classifier, threads: int, steps: int) -> float:
    torch.set_num_threads(threads)
    images, labels = torch.rand(_BATCH, 1, 28, 28), torch.randint(10, (_BATCH,))
    started = time.perf_counter()
    for _ in range(steps):
        model.zero_grad()
        functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]  # torch's own
    return (time.perf_counter() - started) / steps * 1000


@contextmanager
def _beside(busy: int) -> Iterator[None]:
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
