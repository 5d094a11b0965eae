"""How a method chooses inside a request what is fragile: by training rows held out of it, within the utility budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from app.unlearning.architectures import Classifier
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.partition import Partition
from app.unlearning.training import raw_logits

CLASS_AIM = 0.01
"""Share of a class's training images that may still be given its label: one retrained without it gives it to none."""

_HELD_OUT_SHARE = 0.1
_MOST_ROWS = 500  # of each set that is judged by: one standard error of an accuracy of 98 % is 0.6 points


@dataclass(frozen=True)
class Score:
    """What a model reached, shares in 0..1."""

    forget_accuracy: float | None
    """On the forget set, the classes to forget still competing; None where it must not be looked at."""
    utility: float
    """Accuracy on retained training rows that the method did not learn from, retained classes alone competing."""


class Judge:
    """Judges models by the forget set, and by retained training rows held out of the method; no test, no calibration.

    Calibration rows say one thing: how well the original does on what it never saw. It is what forgotten samples should
    come down to (Kurmanji et al. 2023, section 3.3), and no candidate is held to more than it on held-out rows, which
    the original has seen.
    """

    def __init__(
        self,
        original: Classifier,
        data: Dataset,
        partition: Partition,
        utility_budget: float,
        context: Context,
        *,
        seed: int,
        reads_forget_set: bool,
    ) -> None:
        self._data, self._context, self._forget_classes = data, context, list(partition.forget_classes)
        order = torch.Generator().manual_seed(seed)
        held, self.rows = _hold_out(partition.train.retain, order)
        self.held = held[:_MOST_ROWS]
        self._forget = _some(partition.train.forget, order) if reads_forget_set else None
        unseen = _some(partition.calibration.retain, order)
        self.before = self.score(original)
        # Without retained calibration rows there is no level of unseen data, and held-out rows are taken for it.
        level = self._utility(original, unseen) if len(unseen) else self.before.utility
        self.aim = CLASS_AIM if self._forget_classes else level
        self.floor = min(self.before.utility, level) - utility_budget

    def score(self, model: Classifier) -> Score:
        """The score of a model, in evaluation mode."""
        forget = None if self._forget is None else self._accuracy(model, self._forget, struck=[])
        return Score(forget, self._utility(model, self.held))

    def affordable(self, score: Score) -> bool:
        """Whether the utility budget is kept."""
        return score.utility >= self.floor

    def forgotten(self, score: Score) -> bool:
        """Whether no more need be forgotten."""
        return score.forget_accuracy is not None and score.forget_accuracy <= self.aim

    def done(self, model: Classifier) -> bool:
        """Whether the model forgot enough at a price that is afforded."""
        score = self.score(model)
        return self.forgotten(score) and self.affordable(score)

    def _utility(self, model: Classifier, rows: Tensor) -> float:
        return self._accuracy(model, rows, struck=self._forget_classes)

    def _accuracy(self, model: Classifier, rows: Tensor, struck: list[int]) -> float:
        logits = raw_logits(model, self._data.train_images, rows, self._context.device)
        gone = torch.zeros(model.num_classes, dtype=torch.bool)
        gone[[*struck, *model.forgotten_classes]] = True
        logits = logits.masked_fill(gone, -torch.inf)
        return float((logits.argmax(dim=1) == self._data.train_labels[rows]).double().mean())


@dataclass(frozen=True)
class Choice:
    """What was chosen, and on what grounds."""

    model: Classifier
    settings: dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """What one candidate made."""

    model: Classifier
    told: dict[str, Any]
    """What there is to say of it, for example the steps it took; JSON values."""


def choose(
    name: str, candidates: Sequence[float], attempt: Callable[[float, Context], Attempt], judge: Judge, context: Context
) -> Choice:
    """Try the values of the setting `name` from the gentlest to the strongest, and take the gentlest that forgets enough.

    If none does, the one that forgets most at a price that is afforded; stronger ones than the first that costs too
    much are not tried. If even the gentlest costs too much it is taken, and `within_budget` is false: the gate says the
    rest.
    """
    tried: list[tuple[float, Attempt, Score]] = []
    for index, value in enumerate(candidates):
        part = context.part(index / len(candidates), (index + 1) / len(candidates))
        part.report(0.0, "unlearning", f"trying {name} {value:g}")
        made = attempt(value, part)
        tried.append((value, made, judge.score(made.model)))
        if judge.forgotten(tried[-1][2]) or not judge.affordable(tried[-1][2]):
            break
    afforded = [found for found in tried if judge.affordable(found[2])]
    value, made, score = min(reversed(afforded), key=lambda found: found[2].forget_accuracy or 0.0, default=tried[0])
    return Choice(
        made.model,
        {
            name: value,
            **made.told,
            "within_budget": bool(afforded),
            "held_out_accuracy": score.utility,
            "held_out_accuracy_before": judge.before.utility,
            "held_out_floor": judge.floor,
            "forget_accuracy": score.forget_accuracy,
            "forget_accuracy_before": judge.before.forget_accuracy,
            "forget_accuracy_aim": None if score.forget_accuracy is None else judge.aim,
            "tried": [
                {name: other, "held_out_accuracy": seen.utility, "forget_accuracy": seen.forget_accuracy}
                for other, _, seen in tried
            ],
        },
    )


def _hold_out(rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A tenth of the rows, at least one and at most 500, and all the others."""
    shuffled = rows[torch.randperm(len(rows), generator=generator)]
    count = min(max(1, round(_HELD_OUT_SHARE * len(rows))), _MOST_ROWS)
    return shuffled[:count], shuffled[count:]


def _some(rows: Tensor, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:_MOST_ROWS]]
