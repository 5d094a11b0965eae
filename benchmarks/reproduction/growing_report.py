"""The figures of the published growing set-up as Markdown."""

from __future__ import annotations

from benchmarks.reproduction import published
from benchmarks.reproduction.growing import UNITS
from benchmarks.reproduction.setting import TASK_NAMES
from benchmarks.writing import Row, by_column, number, seeds_of, spread, table

_TASK_HEAD = ["", *TASK_NAMES]


def growing(runs: list[Row]) -> list[str]:
    """The published growing set-up."""
    return [
        "## Growing network as published",
        "",
        f"784-50-50-10 and {UNITS} and {UNITS} units more per task, {runs[0]['num_parameters']:,} parameters at the end,",
        "Adam 0.01, batches of 128, 10 epochs per task, the old block put back after every batch;",
        f"{seeds_of(runs)}. A whole run takes {spread([run['seconds'] for run in runs], 1)} s.",
        "",
        *_growing_accuracies(runs),
        *_growing_forgotten(runs),
        *_growing_removed(runs),
        *_growing_sparsity(runs),
    ]


def _growing_accuracies(runs: list[Row]) -> list[str]:
    deployed = [run["deployed"] for run in runs]
    return [
        "The published figures are each of the checkpoint made right after the task. The one network that there is at the",
        "end answers like this:",
        "",
        *table(
            ["accuracy", *TASK_NAMES],
            [
                ["published, own checkpoint", *map(number, published.GROWING_ACCURACY)],
                ["reproduced, own checkpoint", *by_column([run["own_checkpoint"] for run in runs])],
                ["one network, no task named", *by_column([entry["without_task"] for entry in deployed])],
                ["one network, outputs of the task", *by_column([entry["outputs_of_task"] for entry in deployed])],
                ["one network, cut to the task's units", *by_column([entry["units_up_to_task"] for entry in deployed])],
            ],
        ),
    ]


def _growing_forgotten(runs: list[Row]) -> list[str]:
    def own(kind: str, key: str) -> list[str]:
        return by_column([[entry[key] for entry in run[kind]] for run in runs])

    collateral = [value for run in runs for entry in run["published_random"] for value in entry["others"]]
    return [
        "The forgotten task on its own checkpoint, all ten outputs competing. Zeroed outputs tie at 0, and win only on",
        "images for which every other output is below 0; on the rest another digit is answered, so that even as a tie the",
        "published figure is not sure.",
        "With random numbers as published the other tasks, each on its own checkpoint with the same edit, fall to",
        f"{spread(collateral, 4)} (not published).",
        "",
        *table(
            _TASK_HEAD,
            [
                ["published, zero, outputs and block", *map(number, published.GROWING_ZEROED)],
                ["zero, outputs", *own("zeroed", "outputs")],
                ["zero, outputs and block", *own("zeroed", "block")],
                ["the same, no tie", *own("zeroed", "block_no_tie")],
                ["published, random, outputs and block", *map(number, published.GROWING_RANDOM)],
                ["random as published, outputs", *own("published_random", "outputs")],
                ["random as published, outputs and block", *own("published_random", "block")],
                ["random, own distribution, outputs", *by_column([run["own_random"] for run in runs])],
            ],
        ),
    ]


def _growing_removed(runs: list[Row]) -> list[str]:
    rows = []
    for removed, name in enumerate(TASK_NAMES):
        cells = by_column([run["without_block"][removed] for run in runs])
        cells[removed] = "removed"
        rows.append([f"without the units of {name}", *cells])
    return [
        "Later tasks lean on earlier units: all units of one task removed from the one network (task named, cut to the",
        "units up to it).",
        "",
        *table(_TASK_HEAD, rows),
    ]


def _growing_sparsity(runs: list[Row]) -> list[str]:
    fired = [count for run in runs for count in run["never_moved"]]
    zeros = [sum(run["zeros"].values()) for run in runs]
    where = sorted({name for run in runs for name in run["zeros"]})
    rows = [
        ("before", [published.GROWING_SPARSITY], [run["sparsity"] for run in runs]),
        ("two outputs zeroed", [published.GROWING_SPARSITY_OUTPUTS], [run["sparsity_outputs_zeroed"][0] for run in runs]),
        ("last task zeroed, outputs and block", [published.GROWING_SPARSITY_LAST_TASK], [run["sparsity_own_checkpoint_zeroed"][-1] for run in runs]),
    ]  # fmt: skip
    return [
        f"The zeros before any edit are {', '.join(str(count) for count in zeros)} by seed (published:",
        f"{published.GROWING_ZEROS}, and {published.GROWING_ZEROS_OF_CHECKPOINT} in the checkpoint beside the notebooks), all in",
        f"`{', '.join(where)}`, the biases of the second hidden layer. They begin at 0 and never move where the unit never",
        f"fires in training: {fired.count(0)} of the {len(fired)} units fire on none of their own task's images in its checkpoint, the",
        f"others on {max(fired)} at most, of some 12,000. Their number is chance, so the sparsities",
        "agree with the published ones exactly where the number of zeros does: (zeros + 502) / 261,510 after two outputs,",
        "and 2,752 more, less the zeros among the last task's biases, after its block.",
        "",
        *table(["sparsity", "published", *(f"seed {run['seed']}" for run in runs)], [
            [name, *(f"{value:.10f}" for value in (*printed, *found))] for name, printed, found in rows
        ]),
    ]  # fmt: skip
