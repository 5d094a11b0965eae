"""The published set-ups for forgetting tasks, as published; then the product on the same tasks.

    python -m benchmarks.reproduction [--seeds 0 1 2 3 4] [--parts published tasks] [--threads 1] [--quick]
    python -m benchmarks.reproduction --times [--repetitions 5]
    python -m benchmarks.reproduction --write

Each run adds its figures to docs/benchmarks/reproduction.json, in place of those of the same part and seeds, and writes
docs/reproduction.md and docs/figures/tasks.svg from all that are there; `--write` writes alone. `--quick` trains for one
epoch, to see that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from app.datasets.loading import load
from app.settings import Settings
from app.unlearning.data import Dataset
from benchmarks.reproduction import growing, static
from benchmarks.reproduction.report import report
from benchmarks.tasks import run as tasks
from benchmarks.tasks import times
from benchmarks.tasks.figure import draw

PARTS = ("published", "tasks")
_RAW = Path("benchmarks/reproduction.json")


def measured(asked: argparse.Namespace, data: Dataset) -> Iterator[tuple[str, list[dict[str, Any]] | dict[str, Any]]]:
    """Name and figures of every part asked for; of the longest one after every seed, with those before."""
    if asked.times:
        yield "times", times.run(data, asked.repetitions)
        return
    epochs = {"epochs": 1} if asked.quick else {}
    if "published" in asked.parts:
        yield "static", [static.run(data, seed, **epochs) for seed in asked.seeds]
        yield "growing", [growing.run(data, seed, **epochs) for seed in asked.seeds]
    if "tasks" in asked.parts:
        found = []
        for seed in asked.seeds:
            found += [tasks.run(mode, data, seed, quick=asked.quick) for mode in tasks.LEARNING]
            yield "tasks", found


def write(figures: dict[str, Any], output: Path) -> None:
    """The raw figures, the page, and the figure if there are runs to draw."""
    (output / _RAW).parent.mkdir(parents=True, exist_ok=True)
    (output / _RAW).write_text(json.dumps(figures, indent=1) + "\n")
    (output / "reproduction.md").write_text(report(figures))
    if "tasks" in figures:
        (output / "figures").mkdir(exist_ok=True)
        draw(figures["tasks"]["runs"], output / "figures" / "tasks.svg")


def _of_other_seeds(part: dict[str, Any] | None, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """The runs that are kept: a long benchmark may be run seed by seed, but never half quick."""
    if part is None or part["quick"] != asked.quick:
        return []
    return [run for run in part["runs"] if run["seed"] not in asked.seeds]


def _machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--times", action="store_true", help="time training alone; needs a machine with nothing to do")
    parser.add_argument("--repetitions", type=int, default=5, help="turns to time")
    parser.add_argument("--threads", type=int, help="of torch; default: one per core")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true", help="measure nothing")
    parser.add_argument("--output", type=Path, default=Path("docs"))
    return parser.parse_args()


def main() -> None:
    """Measure and write."""
    asked = _asked()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    figures: dict[str, Any] = json.loads(path.read_text()) if (path := asked.output / _RAW).exists() else {}
    if asked.write:
        write(figures, asked.output)
        return
    with tempfile.TemporaryDirectory() as home:
        data = load("mnist", Settings(home=Path(home))).dataset
        for name, found in measured(asked, data):
            runs = found if asked.times else [*_of_other_seeds(figures.get(name), asked), *found]
            figures[name] = {"machine": _machine(), "quick": asked.quick, "runs": runs}
            write(figures, asked.output)
