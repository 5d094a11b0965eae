from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from app.unlearning.data import Dataset
from benchmarks.methods.cells import Cell, by_class, counted, load_cells, missed, ratio
from benchmarks.methods.goals import goals
from benchmarks.methods.report import write_page
from benchmarks.methods.run import run_case
from benchmarks.methods.setting import Case, Target, cases, compared_classes, drawn, partition_of, sliced
from benchmarks.writing import mean, where
from tests.unit.unlearning.blobs import blobs


@pytest.fixture(scope="module")
def data() -> Dataset:
    return blobs()


def a_cell(**own: Any) -> Cell:
    return {
        "dataset": "mnist", "architecture": "cnn", "seed": 1, "target": "class", "classes": [2], "method": "edit",
        "refusal": "push", "refusal_rate": 0.995, "false_refusal_rate": 0.004, "test_accuracy": 0.98,
        "test_accuracy_before": 0.981, "seconds": 2.0, "retraining_seconds": 20.0, "claim": "edited", "missed": [],
        "machine": {"cores": 2, "processor": "any", "torch": "any"},
    } | own  # fmt: skip


def test_a_mean_leaves_out_what_has_no_figure_and_is_none_of_nothing() -> None:
    cells = [a_cell(probe_gap=0.1), a_cell(probe_gap=None), a_cell(), a_cell(probe_gap=0.3)]
    assert mean(cells, "probe_gap") == pytest.approx(0.2)
    assert mean([], "probe_gap") is None


def test_the_ratio_is_the_mean_of_ratios_of_cells_that_have_a_retraining() -> None:
    cells = [a_cell(), a_cell(seconds=4.0, retraining_seconds=10.0), a_cell(retraining_seconds=None)]
    assert ratio(cells) == pytest.approx(0.25)


def test_figures_of_a_class_are_means_over_seeds() -> None:
    cells = [a_cell(refusal_rate=0.9), a_cell(seed=2, refusal_rate=1.0), a_cell(classes=[0], refusal_rate=0.5)]
    assert by_class(cells, lambda cell: cell["refusal_rate"]) == {0: 0.5, 2: pytest.approx(0.95)}


def test_claims_and_missed_criteria_are_counted_the_most_frequent_first() -> None:
    assert counted(["edited", "edited"]) == "edited"
    assert counted(["edited", None, "edited"]) == "edited 2, none 1"
    assert missed([a_cell(missed=["probe"]), a_cell(missed=["retained", "probe"])]) == "probe 2, retained 1"


def test_a_goal_for_every_class_is_missed_where_the_mean_of_one_class_misses_it() -> None:
    cells = [a_cell(), a_cell(classes=[3], refusal_rate=0.98), a_cell(classes=[3], seed=2, refusal_rate=0.99)]
    found = {goal.name: goal for goal in goals(cells, [])}
    refusal = found["edit with push: refusal"]
    assert not refusal.met
    assert "worst class 3 0.9850" in refusal.figure
    assert found["edit with push: false refusals"].met
    assert found["edit with push: retained accuracy"].met


def test_goals_of_two_classes_are_judged_apart_from_those_of_one() -> None:
    guarded = {"method": "euk", "refusal": "guard", "probe_gap": 0.0}
    cells = [a_cell(**guarded), a_cell(**guarded, target="classes", classes=[2, 5]) | {"refusal_rate": 0.97}]
    found = {(goal.kind, goal.name): goal for goal in goals(cells, [])}
    assert found["class", "euk with guard: refusal"].met
    assert not found["classes", "euk with guard: refusal"].met
    assert found["classes", "euk with guard: refusal"].figure == "mean 0.9700, worst run 0.9700 (seed 1)"


def test_every_cost_is_judged_by_its_own_unit() -> None:
    cost = {
        "architecture": "cnn", "epoch": 10.0, "push_150": 5.0, "push_400": 13.1, "verify_1_kept": 1.0, "verify_3_kept": 3.1,
        "batch_backward": 0.1, "fisher": 0.31, "zero_and_calibrate": 0.1,
    }  # fmt: skip
    met = {goal.name: goal.met for goal in goals([], [cost])}
    assert [name for name, reached in met.items() if reached] == [
        "push of 150 steps", "fast verification, one reference", "zero edit and calibration",
    ]  # fmt: skip


def test_samples_are_judged_beside_the_retrained_row() -> None:
    own = a_cell(target="samples", classes=[], method="euk", refusal="none", mia_auc=0.53, test_accuracy=0.97)
    retrained = a_cell(target="samples", classes=[], method="retrain", refusal="none", test_accuracy=0.98)
    met = {goal.name.split(": ")[1]: goal.met for goal in goals([own, retrained], [])}
    assert met == {"calibrated attack": False, "test accuracy": False, "time": True}


def test_a_run_cut_short_has_every_target_of_the_first_seed() -> None:
    found = cases("mnist", 10, ["mlp"], [1, 2])
    first = [case for case in found[: len(found) // 2] if case.seed == 1]
    assert len(first) == len(found) // 2
    assert {case.target.kind for case in first} == {"class", "classes", "samples"}
    assert sorted(case.target.classes[0] for case in first if case.target.kind == "class") == list(range(10))
    assert compared_classes(3) == (0, 1)


def test_drawn_rows_are_training_rows_with_their_labels(data: Dataset) -> None:
    few = drawn(data, seed=1, most=50)
    assert len(few.train_rows) == 50
    assert len(few.calibration_rows) == len(data.calibration_rows)
    assert torch.equal(few.train_labels[few.calibration_rows], data.train_labels[data.calibration_rows])
    again = drawn(data, seed=1, most=50)
    assert torch.equal(few.train_images, again.train_images)


def test_a_slice_has_at_most_so_many_rows_of_each_kind_with_their_labels(data: Dataset) -> None:
    few = sliced(data, seed=1, most=20)
    assert [len(rows) for rows in (few.train_rows, few.calibration_rows, few.test_labels)] == [20, 20, 20]
    for images, labels, all_images, all_labels in (
        (few.train_images, few.train_labels, data.train_images, data.train_labels),
        (few.test_images, few.test_labels, data.test_images, data.test_labels),
    ):
        for image, label in zip(images, labels, strict=True):
            places = (all_images == image).flatten(1).all(dim=1)
            assert label in all_labels[places]


def test_samples_to_forget_are_at_most_half_of_the_training_rows(data: Dataset) -> None:
    few = drawn(data, seed=1, most=50)
    partition = partition_of(Case("blobs", "mlp", Target("samples"), seed=1), few)
    assert len(partition.train.forget) == 25


@pytest.mark.parametrize("target", [Target("class", (1,)), Target("samples")])
def test_a_case_is_measured_once_written_as_a_page_and_not_measured_again(
    data: Dataset, tmp_path: Path, target: Target
) -> None:
    case = Case("blobs", "mlp", target, seed=1)
    rows = ["original-none", "edit-push", "ssd-calibrate", "sisa-none"]
    run_case(case, data, tmp_path / "out", rows)
    cells = load_cells(tmp_path / "out")
    assert len(cells) == (2 if target.kind == "samples" else 3)
    assert all(0 <= cell["test_accuracy"] <= 1 for cell in cells)
    assert where(cells, method="original")[0]["claim"] is None
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")}
    run_case(case, data, tmp_path / "out", rows)
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")}
    (tmp_path / "docs/benchmarks").mkdir(parents=True)
    write_page(tmp_path / "out", tmp_path / "docs")
    page = (tmp_path / "docs/methods.md").read_text()
    assert "| original | none |" in page
