"""The goals of the methods, each with its figure, and whether it was met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.methods.cells import Cell, by_class, mean, ratio, where


@dataclass(frozen=True)
class Goal:
    """One goal for one network."""

    name: str
    """Without the network; remarks are kept under it."""
    architecture: str
    wanted: str
    figure: str
    met: bool


_ROUNDING = 1e-9  # 15 of 3,000 images fewer are .005 fewer, whatever floats make of it
REFUSAL_FLOOR = {"mlp": 0.98, "cnn": 0.99}


def goals(cells: list[Cell], costs: list[Cell]) -> list[Goal]:
    """Every goal of which there is a figure."""
    found: list[Goal] = []
    for name in dict.fromkeys(cell["architecture"] for cell in cells):
        own = where(cells, architecture=name)
        for judged in (_refusal, _false_refusals, _retained, _guard_refusal, _guard_probe):
            found += judged(name, own)
        found += _samples(name, own)
    for cost in costs:
        found += _times(cost)
    return found


def _refusal(name: str, cells: list[Cell]) -> list[Goal]:
    floor = REFUSAL_FLOOR.get(name, min(REFUSAL_FLOOR.values()))
    return _worst(
        "refusal by default, every class",
        name,
        cells,
        f"≥ {floor}",
        "refusal_rate",
        worst=min,
        held=lambda v: v >= floor,
    )


def _false_refusals(name: str, cells: list[Cell]) -> list[Goal]:
    return _worst(
        "false refusals by default", name, cells, "≤ .01", "false_refusal_rate", worst=max, held=lambda v: v <= 0.01
    )


def _worst(
    goal: str,
    name: str,
    cells: list[Cell],
    wanted: str,
    figure: str,
    *,
    worst: Callable[..., int],
    held: Callable[[float], bool],
) -> list[Goal]:
    found = by_class(_defaults(cells), lambda cell: float(cell[figure]))
    if not found:
        return []
    number = worst(found, key=lambda key: found[key])
    mean_of_all = sum(found.values()) / len(found)
    failing = sum(not held(value) for value in found.values())
    told = f"mean {mean_of_all:.4f}, worst class {number} {found[number]:.4f}, missed by {failing} of {len(found)} measured"
    return [Goal(goal, name, wanted, told, failing == 0)]


def _retained(name: str, cells: list[Cell]) -> list[Goal]:
    """Of retained classes alone, before and after."""
    found = by_class(_defaults(cells), lambda cell: float(cell["test_accuracy"] - cell["test_accuracy_before"]))
    if not found:
        return []
    number = min(found, key=lambda key: found[key])
    told = f"mean {sum(found.values()) / len(found):+.4f}, worst class {number} {found[number]:+.4f}"
    return [Goal("retained accuracy by default", name, "≥ before less .005", told, found[number] >= -0.005 - _ROUNDING)]


def _guard_refusal(name: str, cells: list[Cell]) -> list[Goal]:
    rate = mean(where(cells, method="euk", refusal="guard"), "refusal_rate")
    if rate is None:
        return []
    return [Goal("refusal of euk with guard", name, "≥ .98", f"{rate:.4f}", rate >= 0.98)]


def _guard_probe(name: str, cells: list[Cell]) -> list[Goal]:
    gap = mean(where(cells, method="euk", refusal="guard"), "probe_gap")
    if gap is None:
        return []
    return [Goal("probe of euk with guard", name, "≤ retrained + .03", f"{gap:+.4f}", gap <= 0.03)]


def _samples(name: str, cells: list[Cell]) -> list[Goal]:
    """By `euk`, which is what is chosen for samples of a network that is not sharded."""
    cells = where(cells, target="samples")
    own, retrained = where(cells, method="euk"), where(cells, method="retrain")
    auc, cost = mean(own, "mia_auc"), ratio(own)
    ours, theirs = mean(own, "test_accuracy"), mean(retrained, "test_accuracy")
    if auc is None or cost is None or ours is None or theirs is None:
        return []
    return [
        Goal("samples by euk: calibrated attack", name, "AUC ≤ .52", f"{auc:.3f}", auc <= 0.52),
        Goal(
            "samples by euk: test accuracy",
            name,
            "≥ retrained less .005",
            f"{ours - theirs:+.4f}",
            ours - theirs >= -0.005,
        ),
        Goal("samples by euk: time", name, "≤ 10 % of retraining", f"{100 * cost:.0f} %", cost <= 0.1),
    ]


def _times(cost: Cell) -> list[Goal]:
    epoch, name = cost["epoch"], cost["architecture"]
    backward, fisher = cost["batch_backward"], cost["fisher"]
    parts = (
        ("push of 150 steps", "push_150", 0.5),
        ("push of 400 steps", "push_400", 1.3),
        ("fast verification, one reference", "verify_1_kept", 0.3),
        ("fast verification, three references", "verify_3_kept", 0.3),
    )
    found = [
        Goal(goal, name, f"≤ {most} epochs", f"{cost[key] / epoch:.2f}", cost[key] <= most * epoch)
        for goal, key, most in parts
    ]
    zero = cost["zero_and_calibrate"]
    return [
        *found,
        Goal("zero edit and calibration", name, "< .2 s", f"{zero:.3f} s", zero < 0.2),
        Goal(
            "per-sample Fisher", name, "≤ 3 batch backward passes", f"{fisher / backward:.2f}", fisher <= 3 * backward
        ),
    ]


def _defaults(cells: list[Cell]) -> list[Cell]:
    return where(cells, target="class", method="edit", refusal="push")
