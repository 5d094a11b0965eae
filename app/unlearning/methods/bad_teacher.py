"""Bad teaching: learn a fresh network's answers on the forget set, and the original's answers on the retain set."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from app.specs.methods.bad_teacher import TUNED, BadTeacherParameters
from app.specs.methods.steps import SETTLING_STEPS_AFTER_WRONG_ANSWERS
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.methods.method import Computed, strike
from app.unlearning.methods.steps import (
    Batches,
    adam,
    descend,
    divergence,
    images_of,
    refresh_statistics,
    settle,
)
from app.unlearning.methods.tuning import Attempt, Judge, choose


def compute(case: Case, parameters: BadTeacherParameters, context: Context, *, seed: int) -> Computed:
    """Learn both teachers' answers until the forget set is forgotten; the fresh one knows no class to forget.

    The authors' fresh teacher still answers such classes, to about 1 / C of the probability. Settling on the retain set
    brings a class back from there: on four separable classes .6 of the one to forget was answered afterwards, with
    a teacher whose first answer is another one.
    """
    original, data, partition = case.original, case.data, case.partition
    judge = Judge(case, parameters.utility_budget, context, seed=seed, reads_forget_set=True)
    fresh = build(original.architecture, original.input_shape, original.num_classes, seed).to(context.device)
    strike(fresh, partition)
    competing = original.competing().nonzero().flatten()

    def attempt(learning_rate: float, part: Context) -> Attempt:
        model = deepcopy(original)
        retain = Batches(judge.rows, parameters.batch_size, seed)
        forget = Batches(partition.train.forget, max(1, parameters.batch_size // 2), seed)

        def loss_of(teacher: Classifier, batches: Batches) -> Tensor:
            images = images_of(data, batches.draw(), part)
            with torch.no_grad():
                taught = teacher(images).masked_fill(teacher.forgotten, -torch.inf)
            return divergence(taught[:, competing], model(images)[:, competing])

        optimizer = adam(model, learning_rate)
        steps = descend(
            optimizer,
            lambda: loss_of(original, retain) + loss_of(fresh, forget),
            parameters.steps,
            part.part(0.0, 0.8),
            stop=lambda: judge.forgotten(model),
        )
        settle(
            optimizer,
            lambda: loss_of(original, retain),
            part.part(0.8, 1.0),
            steps=SETTLING_STEPS_AFTER_WRONG_ANSWERS,
        )
        refresh_statistics(model, data, judge.rows, seed, part)
        return Attempt(model, {"steps_taken": steps})

    choice = choose(TUNED.setting, TUNED.candidates(parameters, partition.kind), attempt, judge, context)
    return Computed(choice.model, choice.settings)
