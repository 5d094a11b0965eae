"""Task by task with the product: what it learns, and what forgetting one task does to that task and to the others.

All figures are of test images, which decide nothing. Indices of tasks count from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from itertools import product
from typing import Any, get_args

import torch

from app.specs.learning import Progressive, SynapticIntelligence
from app.specs.methods.edit import SHARE, EditSettings, Scope, Strategy
from app.specs.refusing import PUSH_STEPS, Refusal
from app.specs.request import ForgetSpec
from app.specs.target import Target
from app.specs.training import ARCHITECTURE_OF_MODE, TRAINING_OF_MODE, Training
from app.unlearning.case import Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.forgetting import forget as forget_by
from app.unlearning.judging.measurements import sparsity
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.continual import Learned, learn_tasks
from app.unlearning.learning.training import raw_logits
from benchmarks.reproduction.setting import TASKS
from benchmarks.tasks.probe import ProbeImages, probe

LEARNING: dict[str, SynapticIntelligence | Progressive] = {
    "synaptic_intelligence": SynapticIntelligence(tasks=TASKS),
    "progressive": Progressive(tasks=TASKS),
}
REFUSALS: tuple[Refusal, ...] = ("calibrate", "push")
CONTEXT = Context()
_QUICK_PUSH = 30


def fresh(mode: str, data: Dataset, seed: int) -> Classifier:
    """An untrained network of this mode's default architecture."""
    learning = LEARNING[mode]
    return build(ARCHITECTURE_OF_MODE[learning.mode], data.input_shape, data.num_classes, seed, learning)


def default_training(mode: str, seed: int, epochs: int | None = None) -> Training:
    """This mode's default training; other epochs only for a quick run."""
    training = replace(TRAINING_OF_MODE[LEARNING[mode].mode], seed=seed)
    return training if epochs is None else replace(training, epochs=epochs)


def learn(
    mode: str, data: Dataset, training: Training, tasks: Iterable[int] = range(len(TASKS)), after: Learned | None = None
) -> Learned:
    """These tasks, learned in their order by a fresh network, or after others by the network that learned those."""
    model = fresh(mode, data, training.seed) if after is None else after.model
    known = [] if after is None else [task for task, value in enumerate(after.accuracy_matrix[-1]) if value is not None]
    importance = {} if after is None else after.importance
    return learn_tasks(
        model, data, data.train_rows, list(tasks), training, known=known, importance=importance, context=CONTEXT
    )


def learn_stepwise(mode: str, data: Dataset, training: Training) -> list[Learned]:
    """What there is after each task; bitwise as if they were learned in one go."""
    steps: list[Learned] = []
    for task in range(len(TASKS)):
        steps.append(learn(mode, data, training, [task], steps[-1] if steps else None))
    return steps


def retrained_without(task: int, mode: str, data: Dataset, training: Training, steps: list[Learned]) -> Classifier:
    """The network that learned all tasks but one; up to that one it is the network that learned it."""
    before = steps[task - 1] if task else None
    later = range(task + 1, len(TASKS))
    if before is not None and not later:
        return before.model
    return learn(mode, data, training, later, before).model


def served(model: Classifier, data: Dataset) -> dict[str, list[float]]:
    """Of each task's test images the share answered right and the share refused, with the task named and without."""
    rows = torch.arange(len(data.test_labels))
    logits, labels = raw_logits(model, data.test_images, rows, CONTEXT.device), data.test_labels
    found: dict[str, list[float]] = {"right": [], "refused": [], "right_without_task": [], "refused_without_task": []}
    for index, classes in enumerate(TASKS):
        among = torch.isin(labels, torch.tensor(classes))
        for named, suffix in ((index, ""), (None, "_without_task")):
            answers = model.serve(logits[among], named).argmax(dim=1)
            found[f"right{suffix}"].append(float((answers == labels[among]).double().mean()))
            found[f"refused{suffix}"].append(float((answers == model.num_classes).double().mean()))
    return found


def run(mode: str, data: Dataset, seed: int, *, quick: bool = False) -> dict[str, Any]:
    """Every figure of one mode and seed, as JSON values."""
    training = default_training(mode, seed, 1 if quick else None)
    images = ProbeImages.of(data, seed)
    steps = learn_stepwise(mode, data, training)
    learned = steps[-1]
    forgotten_tasks = range(2, 3) if quick else range(len(TASKS))
    return {
        "mode": mode,
        "seed": seed,
        "share": SHARE[learned.model.learning.mode],
        "push_steps": _QUICK_PUSH if quick else PUSH_STEPS[learned.model.learning.mode],
        "seconds": sum(step.seconds for step in steps),
        "num_parameters": sum(values.numel() for values in learned.model.parameters()),
        "sparsity": sparsity(learned.model),
        "accuracy_matrix": [row for step in steps for row in step.accuracy_matrix],
        "served": served(learned.model, data),
        "probes": [
            {
                "task": task,
                "original": _probed(learned.model, images, task),
                "untrained": _probed(fresh(mode, data, seed), images, task),
                "retrained": _probed(retrained_without(task, mode, data, training, steps), images, task),
            }
            for task in forgotten_tasks
        ],
        "forgotten": [
            forget(learned, data, edit, images, task)
            for task in forgotten_tasks
            for edit in _edits(task, seed, quick=quick)
        ],
    }


def _edits(task: int, seed: int, *, quick: bool) -> Iterator[ForgetSpec]:
    steps = _QUICK_PUSH if quick else None
    for scope, strategy, refusal in product(get_args(Scope), get_args(Strategy), REFUSALS):
        settings = EditSettings(push_steps=steps, strategy=strategy, scope=scope)
        yield ForgetSpec(Target(TASKS[task]), parameters=settings, refusal=refusal, seed=seed)


def forget(learned: Learned, data: Dataset, edit: ForgetSpec, images: ProbeImages, task: int) -> dict[str, Any]:
    """One request to forget a whole task, and what came of it."""
    result = forget_by(Parent(learned.model, learned.importance), data, edit, CONTEXT)
    assert isinstance(edit.parameters, EditSettings)
    strategy, scope = edit.parameters.strategy, edit.parameters.scope
    after = served(result.model, data)
    print(
        f"{learned.model.learning.mode} seed {edit.seed} task {task} {scope}/{strategy}/{edit.refusal}: "
        f"refused {after['refused_without_task'][task]:.4f}, {result.verdict}"
    )
    return {
        "task": task,
        "scope": scope,
        "strategy": strategy,
        "refusal": edit.refusal,
        "verdict": result.verdict,
        "served": after,
        "probe": _probed(result.model, images, task),
        "seconds": result.report.seconds["method"],
    }


def _probed(model: Classifier, images: ProbeImages, task: int) -> dict[str, float]:
    return asdict(probe(model.body, images, TASKS[task]))
