"""Carry out the study: each cell (network, seed, target, method) is one JSON file, written when it is done."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from app.errors import NotApplicable
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.judging.verifying.observations import draw_sets, observe, observe_struck
from app.unlearning.judging.verifying.peers import SeenPeers
from app.unlearning.learning.architectures import Classifier
from benchmarks.methods import STUDY
from benchmarks.methods.figures import figures
from benchmarks.methods.models import original, reference
from benchmarks.methods.report import write_page
from benchmarks.methods.requests import run, sharded
from benchmarks.methods.setting import FIRST_SEED, Case, Row, cases, data_of, partition_of, sliced
from benchmarks.study import add_architectures, dataset, machine, prepare
from benchmarks.writing import write


def cell(case: Case, row: Row, folder: Path) -> Path:
    """Where a cell is kept."""
    return folder / "cells" / case.dataset / f"{case.architecture}_{case.seed}_{case.target.name}_{row.name}.json"


def run_case(case: Case, data: Dataset, folder: Path, rows: list[str] | None = None) -> None:
    """Every cell of a case that is not there yet; of these rows, if any are named."""
    asked = [row for row in case.rows if rows is None or row.name in rows]
    missing = [row for row in asked if not cell(case, row, folder).exists()]
    if not missing:
        return
    data = data_of(case, data)
    partition = partition_of(case, data)
    models = folder / "models" / case.dataset
    before = original(case, data, models)
    references = {seed: reference(case, data, partition, seed, models) for seed in case.reference_seeds}
    sets = draw_sets(data, partition, "fast", case.seed)
    seen = observe(before.model, sets, Context())
    beside = SeenPeers(
        sets,
        seen,
        observe_struck(before.model, seen, sets, Context()),
        {seed: observe(found.model, sets, Context()) for seed, found in references.items()},
    )
    retraining = fmean(found.seconds for found in references.values()) if references else None
    for row in missing:
        own = {"retraining_seconds": retraining, **_of_row(case, row, before.model, data, beside)}
        write(cell(case, row, folder), {**_identity(case, row), **own})


def _of_row(case: Case, row: Row, before: Classifier, data: Dataset, beside: SeenPeers) -> dict[str, Any]:
    """The figures of one row, or why there are none."""
    own: dict[str, Any] = {}
    if row.method == "sisa":
        kind = sharded(case, data, beside.sets.partition)
        before, own = kind.original, {"retraining_seconds": kind.retraining_seconds}
        originals, anew = (observe(model, beside.sets, Context()) for model in (before, kind.reference))
        beside = SeenPeers(beside.sets, originals, None, {case.seed: anew})
    try:
        result = run(case, row, data, beside.sets.partition, before)
    except NotApplicable as problem:
        return {"problem": problem.detail}
    found = figures(result, observe(result.model, beside.sets, Context(), guard=result.guard), beside)
    print(
        f"{cell(case, row, Path()).stem}: {result.seconds:.1f} s, {found['claim']}, missed {found['missed']}",
        flush=True,
    )
    return {**found, "left": result.left, "seconds": result.seconds, "settings": result.settings, **own}


def _identity(case: Case, row: Row) -> dict[str, Any]:
    return {
        "dataset": case.dataset,
        "architecture": case.architecture,
        "seed": case.seed,
        "target": case.target.kind,
        "classes": list(case.target.classes),
        **asdict(row),
        "machine": machine(),
    }


def _asked() -> argparse.Namespace:
    parser = STUDY.parser("docs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cells and of trained networks")
    parser.add_argument("--dataset", default="mnist")
    add_architectures(parser, "mlp", "cnn")
    parser.add_argument(
        "--slice",
        type=int,
        metavar="ROWS",
        help="rows of each kind at most, drawn at random: to train, calibrate and test on",
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--rows", nargs="+", help="these rows alone, such as euk-guard")
    parser.add_argument("--targets", nargs="+", help="these targets alone, such as class-2 classes-2-5 samples")
    parser.add_argument("--write", action="store_true", help="measure nothing, write the page to --output")
    return parser.parse_args()


def main() -> None:
    """Measure or write."""
    asked = _asked()
    if asked.write:
        write_page(asked.out, asked.output)
        return
    prepare(threads=1)  # so that process CPU time is the time of the method
    data = dataset(asked.dataset)
    if asked.slice is not None:
        data = sliced(data, FIRST_SEED, asked.slice)
    seeds = range(FIRST_SEED, FIRST_SEED + asked.seeds)
    for case in cases(asked.dataset, data.num_classes, asked.architecture, seeds):
        if asked.targets is None or case.target.name in asked.targets:
            run_case(case, data, asked.out, asked.rows)
