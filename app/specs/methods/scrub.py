"""`scrub`: leave the teacher on the forget set, keep to it on the retain set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from app.specs.methods.method import EVERY_REFUSAL, NO_PROOF, STANDARD, MethodSpec, Tuned
from app.specs.methods.steps import SETTLING_STEPS, Steps
from app.specs.methods.work import FORWARD, JUDGED, Work
from app.specs.refusing import Budgets
from app.specs.training import BatchSize, LearningRate

TUNED = Tuned(
    "learning_rate", values=(0.0001, 0.0002, 0.0003, 0.001), expected_tries=2.0, values_of_samples=(0.001, 0.002)
)
"""Rates of Adam. Single rows take a firmer hand: after 500 rows were forgotten by an MLP (two seeds), the calibrated
attack found them with an AUC of .54 and .56 at .001, and of .52 and .50 at .002. To forget a class at .001 or more
breaks the network."""


@dataclass(frozen=True)
class ScrubParameters(Budgets):
    """Parameters of the method `scrub`."""

    learning_rate: LearningRate | None = None
    """Learning rate of Adam; if empty, it is tuned."""
    rounds: Annotated[int, Ge(1), Le(100)] = 3
    """Rounds of steps away from the original on the forget set, each followed by steps towards it on the retain set."""
    forget_steps: Steps = 15
    """Steps of a round on the forget set."""
    retain_steps: Steps = 40
    """Steps of a round on the retain set."""
    distillation: Annotated[float, Ge(0), Le(1)] = 0.5
    """Share of the original's answers, against the share of the true labels, in what is learned on the retain set."""
    batch_size: BatchSize = 128


def _images(work: Work, parameters: ScrubParameters) -> float:  # noqa: ARG001  every method is asked alike
    """The cost of steps in which the teacher passes forward beside the student."""
    steps = parameters.rounds * (parameters.forget_steps + parameters.retain_steps) + SETTLING_STEPS
    return TUNED.tries(parameters) * (steps * parameters.batch_size * (1 + FORWARD) + JUDGED)


SPEC = MethodSpec(
    name="scrub",
    parameters=ScrubParameters,
    claim="approximate",
    targets=("classes", "samples"),
    modes=STANDARD,
    refusals=EVERY_REFUSAL,
    reads_forget_set=True,
    recurrent=True,
    idea="A student leaves its teacher, the original, on the forget set, and keeps to it on the retain set.",
    equation="in turns: maximise KL(p_o || p_u) over D_f; minimise d KL(p_o || p_u) + (1 - d) CE over D_r",
    guarantee=NO_PROOF,
    paper="Kurmanji et al.: Towards Unbounded Machine Unlearning, NeurIPS 2023 (arXiv:2302.09880)",
    when_not="For single samples of a network that hardly memorises: membership was seen to stay as it was.",
    images=_images,
    ranks={"classes": 20, "samples": 60},
    tuned=TUNED,
)
