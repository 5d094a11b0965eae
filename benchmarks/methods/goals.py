"""The goals of the methods, by kind of target, each with its limit, its figure, and whether it was met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from benchmarks.methods.cells import Cell, ratio_of
from benchmarks.methods.setting import DEFAULT_ROW, Row, TargetKind
from benchmarks.writing import ROUNDING, distinct, listed, number, where

GoalKind = TargetKind | Literal["costs"]
KINDS: dict[GoalKind, str] = {
    "class": "one class", "classes": "two classes in one request", "samples": "samples", "costs": "time",
}  # fmt: skip
_GUARD, _SAMPLES = Row("euk", "guard"), Row("euk", "none")


@dataclass(frozen=True)
class Goal:
    """One goal for one network."""

    kind: GoalKind
    name: str
    """Without the network; remarks are kept under it."""
    architecture: str
    wanted: str
    figure: str
    met: bool


@dataclass(frozen=True)
class _Rule:
    """What the mean over seeds has to be for every target of a kind: nothing is averaged over kinds."""

    kinds: tuple[TargetKind, ...]
    row: Row
    name: str
    wanted: str
    figure: str
    """A key of cells."""
    limit: float | dict[str, float]
    """By network where networks differ; another network has the lowest."""
    at_least: bool

    def of(self, architecture: str) -> float:
        """The limit for a network."""
        if isinstance(self.limit, dict):
            return self.limit.get(architecture, min(self.limit.values()))
        return self.limit

    def holds(self, value: float, architecture: str) -> bool:
        """Whether a value is on the right side of the limit, or on it."""
        limit = self.of(architecture)
        return value >= limit - ROUNDING if self.at_least else value <= limit + ROUNDING


_CLASSES: tuple[TargetKind, ...] = ("class", "classes")
_RULES = (
    _Rule(_CLASSES, DEFAULT_ROW, "refusal", "at least {} of the test images to forget are refused", "refusal_rate", {"mlp": 0.975, "cnn": 0.99}, at_least=True),
    _Rule(_CLASSES, DEFAULT_ROW, "false refusals", "at most {} of the test images to keep are refused", "false_refusal_rate", 0.01, at_least=False),
    _Rule(_CLASSES, DEFAULT_ROW, "retained accuracy", "the change of accuracy on test images to keep is at least {}", "change", {"mlp": -0.005, "cnn": -0.003}, at_least=True),
    _Rule(_CLASSES, _GUARD, "refusal", "at least {} of the test images to forget are refused", "refusal_rate", 0.98, at_least=True),
    _Rule(_CLASSES, _GUARD, "probe", "recall by a probe less that in retrained models is at most {}", "probe_gap", 0.03, at_least=False),
    _Rule(("samples",), _SAMPLES, "calibrated attack", "the AUC of the calibrated attack is at most {}", "mia_auc", 0.52, at_least=False),
    _Rule(("samples",), _SAMPLES, "test accuracy", "test accuracy less that of the row `retrain` is at least {}", "beside_retrained", -0.005, at_least=True),
    _Rule(("samples",), _SAMPLES, "time", "CPU time is at most {} of a retraining", "ratio", 0.1, at_least=False),
)  # fmt: skip
_DIFFERENCES = {"change", "probe_gap", "beside_retrained"}
_COSTS = (
    ("push of 150 steps", "push_150", 0.5, "epoch"),
    ("push of 400 steps", "push_400", 1.3, "epoch"),
    ("fast verification, one reference", "verify_1_kept", 0.3, "epoch"),
    ("fast verification, three references", "verify_3_kept", 0.3, "epoch"),
    ("per-sample Fisher", "fisher", 3, "batch_backward"),
    ("zero edit and calibration", "zero_and_calibrate", 0.2, None),
)
"""Name, figure, the most there may be of it, and the unit; without one it is seconds."""
_UNITS = {"epoch": "epochs", "batch_backward": "batch backward passes", None: "s"}


def goals(cells: list[Cell], costs: list[Cell]) -> list[Goal]:
    """Every goal of which there is a figure."""
    known = [_with_differences(cell, cells) for cell in cells if "problem" not in cell]
    found = []
    for kind in ("class", "classes", "samples"):
        for name in distinct(known, "architecture"):
            own = where(known, architecture=name, target=kind)
            found += [goal for rule in _RULES if kind in rule.kinds for goal in _judged(rule, kind, name, own)]
    return [*found, *(goal for cost in costs for goal in _times(cost))]


def _with_differences(cell: Cell, cells: list[Cell]) -> Cell:
    """The cell with what rules compare: before and after, this method and `retrain`."""
    names = ("dataset", "architecture", "seed", "target", "classes")
    retrained = where(cells, method="retrain", **{name: cell[name] for name in names})
    beside = cell["test_accuracy"] - retrained[0]["test_accuracy"] if retrained else None
    change = cell["test_accuracy"] - cell["test_accuracy_before"]
    return {**cell, "change": change, "beside_retrained": beside, "ratio": ratio_of(cell)}


def _judged(rule: _Rule, kind: TargetKind, architecture: str, cells: list[Cell]) -> Iterable[Goal]:
    own = where(cells, method=rule.row.method, refusal=rule.row.refusal)
    own = [cell for cell in own if cell.get(rule.figure) is not None]
    if not own:
        return
    targets = distinct([{"classes": tuple(cell["classes"])} for cell in own], "classes")
    means = {target: fmean(cell[rule.figure] for cell in where(own, classes=list(target))) for target in targets}
    failing = sum(not rule.holds(value, architecture) for value in means.values())
    refusal = "" if rule.row.refusal == "none" else f" with {rule.row.refusal}"
    name = f"{rule.row.method}{refusal}: {rule.name}"
    wanted = rule.wanted.format(f"{rule.of(architecture):g}")
    yield Goal(kind, name, architecture, wanted, _told(rule, own, means, failing), failing == 0)


def _told(rule: _Rule, cells: list[Cell], means: dict[tuple[int, ...], float], failing: int) -> str:
    """The mean, the worst target if there are several, and the worst run."""
    worst, signed = (min if rule.at_least else max), rule.figure in _DIFFERENCES
    lowest = worst(cells, key=lambda cell: float(cell[rule.figure]))
    told = [f"mean {number(fmean(means.values()), signed=signed)}"]
    run = f"seed {lowest['seed']}"
    if len(means) > 1:
        target = worst(means, key=lambda key: means[key])
        told.append(f"worst class {listed(target)} {number(means[target], signed=signed)}")
        told.append(f"missed by {failing} of {len(means)} measured")
        run = f"class {listed(lowest['classes'])}, {run}"
    return listed([*told, f"worst run {number(lowest[rule.figure], signed=signed)} ({run})"])


def _times(cost: Cell) -> Iterable[Goal]:
    for name, key, most, unit in _COSTS:
        value = cost[key] / (cost[unit] if unit else 1)
        word = _UNITS[unit]
        yield Goal(
            "costs",
            name,
            cost["architecture"],
            f"at most {most:g} {word}",
            f"{number(value, 2 if unit else 3)} {word}",
            value <= most,
        )
