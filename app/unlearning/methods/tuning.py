"""How a method chooses its fragile setting in a request: by training rows held out of it, within the utility budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from app.specs.methods.work import MOST_JUDGED_ROWS
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.training import raw_logits

CLASS_AIM = 0.01
"""Share of a class's training images that may still be given its label: a model retrained without the class gives it to
none."""

AS_GOOD = 0.02
"""Share of a class that may be answered more if that costs less: two standard errors of a share of 5 % of the judging
rows."""

_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Score:
    """What a model reached, shares in 0..1."""

    forget_accuracy: float | None
    """Accuracy on the forget set, the classes to forget still competing; None where the forget set must not be looked
    at."""
    utility: float
    """Accuracy on retained training rows that the method did not learn from, retained classes alone competing."""


class Judge:
    """Judges models by the forget set, and by retained training rows held out of the method; no test, no calibration.

    Calibration rows say one thing: how well the original does on what it never saw. Accuracy on forgotten samples
    should come down to that (Kurmanji et al. 2023, section 3.3). Where samples are forgotten, or only the retain set is
    read, no candidate is held to more than that on the held-out rows either: the original has seen these, and to know
    them less by heart is no loss.
    """

    def __init__(
        self,
        case: Case,
        utility_budget: float,
        context: Context,
        *,
        seed: int,
        reads_forget_set: bool,
    ) -> None:
        partition, original = case.partition, case.original
        self._data, self._context, self._forget_classes = case.data, context, list(partition.forget_classes)
        order = torch.Generator().manual_seed(seed)
        held, self.rows = _hold_out(partition.train.retain, order)
        self.held = held[:MOST_JUDGED_ROWS]
        self._forget = _some(partition.train.forget, order) if reads_forget_set else None
        found = _some(partition.calibration.retain, order)
        self.unseen = found if len(found) else self.held  # better than nothing where no calibration row is retained
        self.before = self.score(original)
        self.level = level = self._utility(original, self.unseen)
        self.aim = CLASS_AIM if self._forget_classes else level
        self.as_good = AS_GOOD if self._forget_classes else 0.0
        by_heart = self._forget_classes and reads_forget_set
        self.floor = (self.before.utility if by_heart else min(self.before.utility, level)) - utility_budget

    def score(self, model: Classifier) -> Score:
        """The score of a model, in evaluation mode."""
        forget = None if self._forget is None else self._accuracy(model, self._forget, struck=[])
        return Score(forget, self._utility(model, self.held))

    def affordable(self, score: Score) -> bool:
        """Whether the utility budget is kept."""
        return score.utility >= self.floor

    def forgotten(self, model: Classifier) -> bool:
        """Whether the model has forgotten enough."""
        return self._reached(self.score(model))

    def settled(self, score: Score) -> bool:
        """Whether no further candidate need be tried: enough is forgotten, or more would cost too much.

        Where the forget set must not be looked at, candidates come from the strongest down, and the first one that is
        affordable will do.
        """
        if score.forget_accuracy is None:
            return self.affordable(score)
        return self._reached(score) or not self.affordable(score)

    def _reached(self, score: Score) -> bool:
        return score.forget_accuracy is not None and score.forget_accuracy <= self.aim

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
    """What a report says of the candidate, for example the steps it took; JSON values."""


def choose(
    name: str, candidates: Sequence[float], attempt: Callable[[float, Context], Attempt], judge: Judge, context: Context
) -> Choice:
    """Try values of the setting `name`, the gentlest first, until one forgets enough or costs too much.

    The affordable candidate that forgets most is taken, or one that costs less and forgets a class about as well. If
    none is affordable, the one that costs least is taken and `within_budget` is false: the gate says the rest. For a
    judge that must not look at the forget set the strongest stands first.
    """
    tried: list[tuple[float, Attempt, Score]] = []
    for index, value in enumerate(candidates):
        part = context.part(index / len(candidates), (index + 1) / len(candidates))
        part.report(0.0, "unlearning", f"trying {name} {value:g}")
        made = attempt(value, part)
        tried.append((value, made, judge.score(made.model)))
        if judge.settled(tried[-1][2]):
            break
    afforded = [found for found in tried if judge.affordable(found[2])]
    least = min((score.forget_accuracy or 0.0 for _, _, score in afforded), default=0.0)
    as_good = [found for found in afforded if (found[2].forget_accuracy or 0.0) <= least + judge.as_good]
    value, made, score = max(as_good or tried, key=lambda found: found[2].utility)
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
    count = min(max(1, round(_HELD_OUT_SHARE * len(rows))), MOST_JUDGED_ROWS)
    return shuffled[:count], shuffled[count:]


def _some(rows: Tensor, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:MOST_JUDGED_ROWS]]
