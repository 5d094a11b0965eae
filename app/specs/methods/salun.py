"""`salun`: learn wrong labels in the weights that matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le

from app.specs.methods.method import EVERY_REFUSAL, NO_PROOF, STANDARD, MethodSpec, Tuned
from app.specs.methods.steps import SETTLING_STEPS_AFTER_WRONG_ANSWERS, Steps, images_of_both_sets
from app.specs.methods.work import JUDGED, Work
from app.specs.refusing import Budgets
from app.specs.training import BatchSize, LearningRate

TUNED = Tuned("learning_rate", values=(0.001, 0.003), expected_tries=1.2)
"""Rates of Adam. The rate .0003 takes more steps to the same end and loses more: digit 5, MLP, two seeds, it lost .3
points of retained accuracy where .001 lost .0, and its divergence from retrained models was .28 to .32 bits where that
of .001 was .20 to .28."""


@dataclass(frozen=True)
class SalunParameters(Budgets):
    """Parameters of the method `salun`."""

    learning_rate: LearningRate | None = None
    """Learning rate of Adam; if empty, it is tuned."""
    share: Annotated[float, Gt(0), Le(1)] = 0.5
    """Share of all values of all parameters together, those of the greatest gradient on the forget set, that may change."""
    steps: Steps = 150
    """Steps at most; fewer where the forget set is forgotten earlier."""
    batch_size: BatchSize = 128
    """Retained images of a step; half as many of the forget set."""


def _images(work: Work, parameters: SalunParameters) -> float:
    """The cost of the gradients of the forget set, and of the steps after them."""
    steps = images_of_both_sets(parameters, SETTLING_STEPS_AFTER_WRONG_ANSWERS)
    return work.num_forget + TUNED.tries(parameters) * (steps + JUDGED)


SPEC = MethodSpec(
    name="salun",
    parameters=SalunParameters,
    claim="approximate",
    targets=("classes", "samples"),
    modes=STANDARD,
    refusals=EVERY_REFUSAL,
    reads_forget_set=True,
    recurrent=True,
    idea="Learns random wrong labels of the forget set, in the weights alone that the forget set's loss is steep in.",
    equation="minimise over m * w: CE(D_f, random label) + CE(D_r), m = [|grad CE(D_f)| among the greatest of all w]",
    guarantee=NO_PROOF,
    paper="Fan et al.: SalUn, ICLR 2024 (arXiv:2310.12508)",
    when_not="For single samples where accuracy counts: wrong labels were seen to cost 2 to 7 points.",
    images=_images,
    ranks={"classes": 60, "samples": 70},
    tuned=TUNED,
)
