"""`neggrad_plus`: descend on the retain set, ascend on the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le

from app.specs.methods.method import EVERY_REFUSAL, NO_PROOF, STANDARD, MethodSpec, Tuned
from app.specs.methods.steps import SETTLING_STEPS, Steps, images_of_both_sets
from app.specs.methods.work import JUDGED, Work
from app.specs.refusing import Budgets
from app.specs.training import BatchSize, LearningRate

TUNED = Tuned("forget_weight", values=(0.05, 0.2, 0.5), expected_tries=1.0)


@dataclass(frozen=True)
class NegGradPlusParameters(Budgets):
    """Parameters of the method `neggrad_plus`."""

    forget_weight: Annotated[float, Gt(0), Le(1)] | None = None
    """Weight b of the ascent on the forget set; the descent on the retain set has 1 - b. If empty, it is tuned."""
    learning_rate: LearningRate = 0.001
    steps: Steps = 200
    """Steps at most; fewer where the forget set is forgotten earlier."""
    batch_size: BatchSize = 128
    """Retained images of a step; half as many of the forget set."""


def _images(work: Work, parameters: NegGradPlusParameters) -> float:  # noqa: ARG001  every method is asked alike
    return TUNED.tries(parameters) * (images_of_both_sets(parameters, SETTLING_STEPS) + JUDGED)


SPEC = MethodSpec(
    name="neggrad_plus",
    parameters=NegGradPlusParameters,
    claim="approximate",
    targets=("classes", "samples"),
    modes=STANDARD,
    refusals=EVERY_REFUSAL,
    reads_forget_set=True,
    recurrent=True,
    idea="Descends on the loss of the retain set while it ascends on that of the forget set.",
    equation="minimise (1 - b) CE(D_r) - b CE(D_f)",
    guarantee=NO_PROOF,
    paper="Kurmanji et al.: Towards Unbounded Machine Unlearning, NeurIPS 2023 (arXiv:2302.09880), section 3.2",
    when_not="When forget set and retain set look alike: the ascent then costs the retained ones, too.",
    images=_images,
    ranks={"classes": 30, "samples": 30},
    tuned=TUNED,
)
