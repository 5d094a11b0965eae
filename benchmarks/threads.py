"""How long a step of training takes with one thread and with one for each core, beside as many busy processes as you say.

`python -m benchmarks.threads 0`, then with twice as many as there are cores, prints what is in `docs/operations/threads.md`.
"""

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

from app import specs
from app.threads import usable_cores
from app.unlearning.architectures import Classifier, build

_BATCH = 128
_NETWORKS: dict[str, tuple[specs.Architecture, int]] = {
    "mlp, hidden 128": (specs.Mlp(), 50),
    "cnn, channels 16 and 32": (specs.Cnn(), 5),
    "gru, hidden 64": (specs.Gru(), 5),
    "resnet18": (specs.Torchvision(), 1),
}
_TRIES = 5


def main(busy: int) -> None:
    """Measure everything and print it as Markdown: medians, the numbers of threads taking turns."""
    cores = usable_cores()
    print(f"| {_BATCH} rows, {busy} busy processes on {cores} cores | 1 thread | {cores} threads |\n|---|---|---|")
    with _beside(busy):
        for name, (architecture, steps) in _NETWORKS.items():
            model = build(architecture, (1, 28, 28), 10, seed=0).train()
            found: dict[int, list[float]] = {1: [], cores: []}
            for _ in range(_TRIES):
                for threads, times in found.items():
                    times.append(_milliseconds(model, threads, steps))
            print(
                f"| {name} | {' | '.join(f'{statistics.median(times):.1f}' for times in found.values())} |", flush=True
            )
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f}")


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
    main(int(sys.argv[1]))
