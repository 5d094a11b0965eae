"""`retrain`: train anew without the forget set."""

from __future__ import annotations

from dataclasses import dataclass

from app.specs.methods.method import EVERY_REFUSAL, MethodSpec
from app.specs.methods.work import Work
from app.specs.refusing import Budgets
from app.specs.training import Training


@dataclass(frozen=True)
class RetrainParameters(Budgets):
    """Parameters of the method `retrain`."""

    training: Training | None = None
    """The recipe, whose own seed is not used; if empty, the one that the model was trained with."""


def _images(work: Work, parameters: RetrainParameters) -> float:
    epochs = parameters.training.epochs if parameters.training else work.rows.passes
    return float(epochs * work.num_retain)


SPEC = MethodSpec(
    name="retrain",
    parameters=RetrainParameters,
    claim="exact",
    targets=("classes", "tasks", "samples"),
    modes=("standard", "synaptic_intelligence", "progressive", "sisa"),
    refusals=EVERY_REFUSAL,
    reads_forget_set=False,
    recurrent=True,
    idea="Trains a fresh network on the retain set alone.",
    equation="w = fit(fresh weights of the seed, D_r)",
    guarantee="Exact: the forget set has no part in any weight, and the same seed gives the same bits again.",
    paper="Bourtoule et al.: Machine Unlearning, IEEE S&P 2021 (arXiv:1912.03817), section III, for the definition",
    when_not="When a request must be done in seconds: it costs a whole training.",
    images=_images,
    ranks={"classes": 90, "tasks": 20, "samples": 80},
    ranks_without_convolutions={"samples": 15},
)
