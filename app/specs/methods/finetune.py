"""`finetune`: train further on the retain set."""

from __future__ import annotations

from dataclasses import dataclass

from app.specs.methods.method import EVERY_REFUSAL, NO_PROOF, STANDARD, MethodSpec, Tuned
from app.specs.methods.steps import Steps
from app.specs.methods.work import JUDGED, Work
from app.specs.refusing import Budgets
from app.specs.training import BatchSize, LearningRate

TUNED = Tuned("learning_rate", values=(0.01, 0.005, 0.002, 0.001), expected_tries=1.5)
"""Rates of Adam; half of them are above the rate that a network of this size is trained with."""


@dataclass(frozen=True)
class FinetuneParameters(Budgets):
    """Parameters of the method `finetune`."""

    learning_rate: LearningRate | None = None
    """Learning rate of Adam; if empty, the highest of those tried that keeps the utility budget."""
    steps: Steps = 200
    batch_size: BatchSize = 128


def _images(work: Work, parameters: FinetuneParameters) -> float:  # noqa: ARG001  every method is asked alike
    return TUNED.tries(parameters) * (parameters.steps * parameters.batch_size + JUDGED)


SPEC = MethodSpec(
    name="finetune",
    parameters=FinetuneParameters,
    claim="approximate",
    targets=("classes", "samples"),
    modes=STANDARD,
    refusals=EVERY_REFUSAL,
    reads_forget_set=False,
    recurrent=True,
    idea="Trains further on the retain set at a high learning rate, and lets the rest fade.",
    equation="w <- w - rate grad CE(D_r)",
    guarantee=NO_PROOF,
    paper="Golatkar, Achille, Soatto: Eternal Sunshine of the Spotless Net, CVPR 2020 (arXiv:1911.04933)",
    when_not="For single samples: they are remembered as well as before, by attacks that are calibrated.",
    images=_images,
    ranks={"classes": 50, "samples": 40},
    tuned=TUNED,
)
