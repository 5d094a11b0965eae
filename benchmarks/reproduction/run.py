"""The published set-ups for forgetting tasks, as published; then the product on the same tasks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from app.unlearning.data import Dataset
from benchmarks.reproduction import STUDY, growing, static
from benchmarks.reproduction.report import report
from benchmarks.study import dataset, machine, prepare
from benchmarks.tasks import run as tasks
from benchmarks.tasks import times
from benchmarks.tasks.figure import draw
from benchmarks.writing import write

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


def write_page(figures: dict[str, Any], output: Path) -> None:
    """The raw figures, the page, and the figure if there are runs to draw."""
    write(output / _RAW, figures)
    write(output / "reproduction.md", report(figures))
    if "tasks" in figures:
        (output / "figures").mkdir(exist_ok=True)
        draw(figures["tasks"]["runs"], output / "figures" / "tasks.svg")


def _of_other_seeds(part: dict[str, Any] | None, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """The runs that are kept: a long benchmark may be run seed by seed, but never half quick."""
    if part is None or part["quick"] != asked.quick:
        return []
    return [run for run in part["runs"] if run["seed"] not in asked.seeds]


def _asked() -> argparse.Namespace:
    parser = STUDY.parser("docs")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--times", action="store_true", help="time training alone; needs a machine with nothing to do")
    parser.add_argument("--repetitions", type=int, default=5, help="turns to time")
    parser.add_argument("--threads", type=int, help="of torch; default: one per core")
    parser.add_argument("--quick", action="store_true", help="one epoch, to see that it runs")
    parser.add_argument("--write", action="store_true", help="measure nothing")
    return parser.parse_args()


def main() -> None:
    """Measure and write."""
    asked = _asked()
    prepare(asked.threads)
    figures: dict[str, Any] = json.loads(path.read_text()) if (path := asked.output / _RAW).exists() else {}
    if asked.write:
        write_page(figures, asked.output)
        return
    for name, found in measured(asked, dataset()):
        runs = found if asked.times else [*_of_other_seeds(figures.get(name), asked), *found]
        of = {**machine(), "threads": torch.get_num_threads()}
        figures[name] = {"machine": of, "quick": asked.quick, "runs": runs}
        write_page(figures, asked.output)
