"""The figures of the study as Markdown: the page, and where the product deviates."""

from __future__ import annotations

from typing import Any

from benchmarks.reproduction import STUDY
from benchmarks.reproduction.growing_report import growing
from benchmarks.reproduction.published import SOURCE
from benchmarks.reproduction.static_report import static
from benchmarks.tasks.report import forgetting, learning, times
from benchmarks.writing import machines, section, table


def report(figures: dict[str, Any]) -> str:
    """The page, of the parts that there are."""
    lines = [*_head(figures), *_deviations()]
    if "static" in figures:
        lines += static(figures["static"]["runs"])
    if "growing" in figures:
        lines += growing(figures["growing"]["runs"])
    if "tasks" in figures:
        lines += learning(figures["tasks"]["runs"])
        lines += forgetting(figures["tasks"]["runs"])
    if "times" in figures:
        lines += times(figures["times"])
    return "\n".join(lines)


def _head(figures: dict[str, Any]) -> list[str]:
    quick = [name for name, part in figures.items() if part["quick"]]
    lines = [
        "# Reproduction: forgetting tasks",
        "",
        f"The idea of forgetting a task comes from [published notebooks]({SOURCE}). This page repeats their two",
        "set-ups as they are, beside what they printed, and then does the same with the product. MNIST in five tasks of",
        "two digits. Figures are of test images, which decide nothing; mean ± standard deviation over seeds, while a",
        "published value is of one run. *Task named*: the outputs of the task compete alone. *No task named*: one network,",
        "all outputs compete.",
        "",
        *machines(part["machine"] for part in figures.values()),
        "Seconds include whatever else the machine did, except under *Time of learning tasks*.",
        f"Written by `{STUDY.command}`; raw figures:",
        "[reproduction.json](benchmarks/reproduction.json).",
        "",
    ]
    if quick:
        lines += [f"**Quick runs of one epoch, which show nothing but that they run: {', '.join(quick)}.**", ""]
    return lines


def _deviations() -> list[str]:
    rows = [
        ("Ω is read before the update that ends the task, so one task late", "at the true end of each task", "else the weights said to matter to a task are those of the one before"),
        ("weights with Ω = 0, or that turned from 0, unranked", "the task's own share of Ω, highest first", "Ω is 0 where a pixel is never on, which ranks nothing"),
        ("Ω is one sum over all tasks", "Ω of every task by itself", "a share needs the parts, and forgetting a task drops its part"),
        ("the static network's output weights begin at 0", "are drawn like all others", "they pass no gradient back at first: 2 3 then ends at .92 in place of .96 (two seeds, all else as published)"),
        ("two zeroed outputs tie, and the first one counts", "an answer shared by outputs is none", "the figure is the share of the first digit, not knowledge"),
        ("random numbers from N(1 - mean, 1 + deviation), bias by itself", "from N(mean, deviation) of row and bias", "rows of positive mean win against every other output"),
        ("random numbers are drawn anew before each task is evaluated", "drawn once", "five draws upon each other are not the edit that is named"),
        ("every task is tested on its own checkpoint", "on the one network that serves", "on its own checkpoint no other task can lose"),
        ("new units of layer 1 feed old units of layer 2", "units read no later units", "else what earlier tasks compute changes in the one network"),
        ("an output row reads the units of all tasks", "a row reads its own and earlier blocks", "as above"),
        ("the growing net trains all ten outputs against each other", "the task's two alone", "a task then says nothing of digits that it never saw"),
        ("slices of a block begin one too early and miss layer 1", "the block, by the owner of each value", "of layer 1 the slices hold one pixel, which is always 0"),
        ("trains on 60,000 images", "on 55,000", "thresholds and verdicts need images that training did not see"),
    ]  # fmt: skip
    return [*section("## Where the product deviates on purpose"), *table(["published", "product", "because"], rows)]
