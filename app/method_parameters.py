"""What the unlearning methods beside `edit` can be told: the only source of their published schemas. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le

from app.specs import BatchSize, EditParameters, LearningRate, RefusalBudget, RefusalTarget, Training

_STRICT: dict[str, Any] = {"extra": "forbid", "allow_inf_nan": False, "use_attribute_docstrings": True}

Steps = Annotated[int, Ge(1), Le(100_000)]
UtilityBudget = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class Budgets:
    """What forgetting may cost the retained classes, by any method."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    utility_budget: UtilityBudget = 0.01
    """Retained accuracy that may be lost: on held-out training rows while tuning, on calibration rows in the gate."""
    refusal_budget: RefusalBudget | None = None
    """Share of correct answers on retained calibration inputs that refusals may cost at most; empty: .005 with the
    refusal `push` (.008 of tasks), which spends no more of it than its target needs, otherwise .003."""
    refusal_target: RefusalTarget = 0.9925
    """Share of each forgotten class's calibration inputs that the refusal `push` is to refuse."""

    def of_refusal(self) -> EditParameters:
        """These budgets as parameters of `edit`, because every method's refusal is fitted by those."""
        return EditParameters(
            refusal_budget=self.refusal_budget,
            refusal_target=self.refusal_target,
            utility_budget=self.utility_budget,
        )


@dataclass(frozen=True)
class RetrainParameters(Budgets):
    """Parameters of the method `retrain`."""

    training: Training | None = None
    """The recipe, whose own seed is not used; empty: the one that the model was trained with."""


@dataclass(frozen=True)
class SisaParameters(Budgets):
    """Parameters of the method `sisa`: how the model was trained says the rest, its seed included."""


@dataclass(frozen=True)
class EukParameters(Budgets):
    """Parameters of the method `euk`."""

    layers: Annotated[int, Ge(1), Le(1000)] | None = None
    """How many of the last layers with weights begin anew; empty: the fully connected ones after the last convolution,
    all where there is no convolution, and the last third where there is but the output layer after it."""
    steps: Steps = 2000
    """Steps at full learning rate at most; fewer where held-out rows say that no more is learned."""
    batch_size: BatchSize = 128
    learning_rate: LearningRate = 0.002


@dataclass(frozen=True)
class FinetuneParameters(Budgets):
    """Parameters of the method `finetune`."""

    learning_rate: LearningRate | None = None
    """Empty: the highest tried that keeps the utility budget."""
    steps: Steps = 200
    batch_size: BatchSize = 128


@dataclass(frozen=True)
class NegGradPlusParameters(Budgets):
    """Parameters of the method `neggrad_plus`."""

    forget_weight: Annotated[float, Gt(0), Le(1)] | None = None
    """Weight of the ascent on the forget set, against 1 - it of the descent on the retain set; empty: tuned."""
    learning_rate: LearningRate = 0.001
    steps: Steps = 200
    """Steps at most; fewer where the forget set is forgotten earlier."""
    batch_size: BatchSize = 128
    """Retained images of a step; half as many of the forget set."""


@dataclass(frozen=True)
class ScrubParameters(Budgets):
    """Parameters of the method `scrub`."""

    learning_rate: LearningRate | None = None
    """Empty: tuned."""
    rounds: Annotated[int, Ge(1), Le(100)] = 3
    """Rounds of steps away from the original on the forget set, each followed by steps towards it on the retain set."""
    forget_steps: Steps = 15
    """Steps of a round on the forget set."""
    retain_steps: Steps = 40
    """Steps of a round on the retain set."""
    distillation: Annotated[float, Ge(0), Le(1)] = 0.5
    """Share of the original's answers, against that of the true labels, in what is learned on the retain set."""
    batch_size: BatchSize = 128


@dataclass(frozen=True)
class SalunParameters(Budgets):
    """Parameters of the method `salun`."""

    learning_rate: LearningRate | None = None
    """Empty: tuned."""
    share: Annotated[float, Gt(0), Le(1)] = 0.5
    """Share of all values of all parameters together, those of the greatest gradient on the forget set, that may change."""
    steps: Steps = 150
    """Steps at most; fewer where the forget set is forgotten earlier."""
    batch_size: BatchSize = 128
    """Retained images of a step; half as many of the forget set."""


@dataclass(frozen=True)
class BadTeacherParameters(Budgets):
    """Parameters of the method `bad_teacher`."""

    learning_rate: LearningRate | None = None
    """Empty: tuned."""
    steps: Steps = 150
    """Steps at most; fewer where the forget set is forgotten earlier."""
    batch_size: BatchSize = 128
    """Retained images of a step; half as many of the forget set."""


@dataclass(frozen=True)
class SsdParameters(Budgets):
    """Parameters of the method `ssd`."""

    selection: Annotated[float, Gt(0), Le(1e6)] | None = None
    """Weights that are more than this many times as important to the forget set as to all rows are dampened; empty:
    tuned."""
    dampening: Annotated[float, Gt(0), Le(1e3)] = 1.0
    """A dampened weight is multiplied by this times its importance to all rows, divided by its importance to the
    forget set; by 1 at most."""


@dataclass(frozen=True)
class ProjectionParameters(Budgets):
    """Parameters of the method `projection`."""

    retain_scale: Annotated[float, Ge(1), Le(1e6)] | None = None
    """How much the lesser directions of the retain set count, too; empty: tuned."""
    forget_scale: Annotated[float, Ge(1), Le(1e6)] = 3.0
    """How much the lesser directions of the forget set count, too; empty: tuned."""


MethodParameters = (
    RetrainParameters
    | SisaParameters
    | EukParameters
    | FinetuneParameters
    | NegGradPlusParameters
    | ScrubParameters
    | SalunParameters
    | BadTeacherParameters
    | SsdParameters
    | ProjectionParameters
)
