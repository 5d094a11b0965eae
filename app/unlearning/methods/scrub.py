"""SCRUB: a student that leaves its teacher on the forget set, and keeps to it on the retain set."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from app.specs.methods.scrub import TUNED, ScrubParameters
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.learning.architectures import Classifier
from app.unlearning.methods.method import Computed
from app.unlearning.methods.steps import (
    Batches,
    adam,
    cross_entropy,
    descend,
    divergence,
    images_of,
    refresh_statistics,
    settle,
)
from app.unlearning.methods.tuning import Attempt, Judge, choose


def compute(case: Case, parameters: ScrubParameters, context: Context, *, seed: int) -> Computed:
    """Take turns of steps away from the original on the forget set and towards it on the retain set; the rate is tuned."""
    original, data, partition = case.original, case.data, case.partition
    judge = Judge(case, parameters.utility_budget, context, seed=seed, reads_forget_set=True)

    def attempt(learning_rate: float, part: Context) -> Attempt:
        student = _Student(original, data, parameters, learning_rate, part)
        retain = Batches(judge.rows, parameters.batch_size, seed)
        forget = Batches(partition.train.forget, parameters.batch_size, seed)
        rounds = parameters.rounds
        for number in range(rounds):
            student.leave(forget, part.part(number / (rounds + 1), (number + 0.3) / (rounds + 1)))
            student.keep_to(retain, part.part((number + 0.3) / (rounds + 1), (number + 1) / (rounds + 1)))
        student.settle(retain, part.part(rounds / (rounds + 1), 1.0))
        refresh_statistics(student.model, data, judge.rows, seed, part)
        return Attempt(student.model, {})

    choice = choose(TUNED.setting, TUNED.candidates(parameters, partition.kind), attempt, judge, context)
    return Computed(choice.model, choice.settings)


class _Student:
    """A copy of the teacher, with the optimizer that lasts over all rounds."""

    def __init__(
        self, teacher: Classifier, data: Dataset, parameters: ScrubParameters, learning_rate: float, context: Context
    ) -> None:
        self.model = deepcopy(teacher)
        self._teacher, self._data, self._parameters, self._context = teacher, data, parameters, context
        self._competing = teacher.competing().nonzero().flatten()
        self._optimizer = adam(self.model, learning_rate)

    def leave(self, forget: Batches, context: Context) -> None:
        """Take steps that raise the divergence on the forget set."""

        def loss() -> Tensor:
            images = images_of(self._data, forget.draw(), self._context)
            return -self._divergence(images, self.model(images))

        descend(self._optimizer, loss, self._parameters.forget_steps, context)

    def keep_to(self, retain: Batches, context: Context) -> None:
        """Take steps that lower divergence and cross-entropy on the retain set."""
        descend(self._optimizer, lambda: self._retain_loss(retain), self._parameters.retain_steps, context)

    def settle(self, retain: Batches, context: Context) -> None:
        """Take the last steps on the retain set, at a rate that falls to 0."""
        settle(self._optimizer, lambda: self._retain_loss(retain), context)

    def _retain_loss(self, retain: Batches) -> Tensor:
        rows = retain.draw()
        images = images_of(self._data, rows, self._context)
        logits = self.model(images)
        share = self._parameters.distillation
        error = cross_entropy(self.model, logits, self._data.train_labels[rows])
        return share * self._divergence(images, logits) + (1 - share) * error

    def _divergence(self, images: Tensor, logits: Tensor) -> Tensor:
        with torch.no_grad():
            taught = self._teacher(images)
        return divergence(taught[:, self._competing], logits[:, self._competing])
