"""`euk`: begin the last layers anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from app.specs.methods.method import EVERY_REFUSAL, STANDARD, MethodSpec
from app.specs.methods.steps import Steps
from app.specs.methods.work import FORWARD, Work
from app.specs.refusing import Budgets
from app.specs.training import BatchSize, LearningRate

STEPS_SHARE = 0.8
"""Share of the allowed steps that are taken before held-out rows say that no more is learned."""
UPPER_SHARE = 0.1
"""`STEPS_SHARE`, multiplied by what a step of the last layers costs of a step of the whole network."""


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


def _images(work: Work, parameters: EukParameters) -> float:
    """The cost of one forward pass of the lower layers, if there are convolutions, and of steps of the few others."""
    steps = parameters.steps * parameters.batch_size
    return FORWARD * work.num_retain + steps * UPPER_SHARE if work.rows.convolutional else steps * STEPS_SHARE


SPEC = MethodSpec(
    name="euk",
    parameters=EukParameters,
    claim="approximate",
    targets=("classes", "samples"),
    modes=STANDARD,
    refusals=EVERY_REFUSAL,
    reads_forget_set=False,
    recurrent=True,
    idea="The last k layers begin anew from fresh weights and are trained on the retain set; the lower ones stay.",
    equation="w_low = w_o,low;  w_high = argmin over D_r of CE(f_high(f_low(x)), y) from fresh weights",
    guarantee="The forget set has no part in the last k layers; what the lower ones keep of it is measured.",
    paper="Goel et al.: Towards Adversarial Evaluations for Inexact Machine Unlearning, 2022 (arXiv:2201.06640)",
    when_not="When the lower layers memorise too, or when k layers are the whole network, as without convolutions: then "
    "retrain, which is exact; of samples an MLP took .6 of a retraining and lost .7 points of accuracy.",
    images=_images,
    ranks={"classes": 10, "samples": 20},
    ranks_without_convolutions={"samples": 90},  # it begins all layers anew then: a retraining that stops early
)
