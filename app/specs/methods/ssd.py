"""`ssd`: shrink the weights that matter to the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le

from app.specs.methods.method import EVERY_REFUSAL, NO_PROOF, STANDARD, MethodSpec, Tuned
from app.specs.methods.work import JUDGED, Work
from app.specs.refusing import Budgets

TUNED = Tuned("selection", values=(50.0, 20.0, 14.0, 10.0, 8.0, 6.0, 4.0, 3.0, 2.0, 1.5, 1.1), expected_tries=5.0)
"""Ratios of importance to try; ten is the published value."""
_MOMENTS_STEPS = 2  # training steps that one image is worth: sums over samples alone, and every row is read


@dataclass(frozen=True)
class SsdParameters(Budgets):
    """Parameters of the method `ssd`."""

    selection: Annotated[float, Gt(0), Le(1e6)] | None = None
    """Weights that are more than this many times as important to the forget set as to all rows are dampened; if empty,
    it is tuned."""
    dampening: Annotated[float, Gt(0), Le(1e3)] = 1.0
    """A dampened weight is multiplied by this times its importance to all rows, divided by its importance to the
    forget set; by 1 at most."""


def _images(work: Work, parameters: SsdParameters) -> float:
    """The cost of the importance of all rows, which comes first; a candidate is only judged."""
    return (work.num_forget + work.num_retain) * _MOMENTS_STEPS + TUNED.tries(parameters) * JUDGED


SPEC = MethodSpec(
    name="ssd",
    parameters=SsdParameters,
    claim="approximate",
    targets=("classes",),
    modes=STANDARD,
    refusals=EVERY_REFUSAL,
    reads_forget_set=True,
    recurrent=True,
    idea="Shrinks the weights that matter to the forget set far more than to all that was learned; nothing is trained.",
    equation="w <- min(l F / F_f, 1) w  where F_f > a F;  F of all rows: mean of squared gradients of batches",
    guarantee=NO_PROOF,
    paper="Foster, Schoepf, Brintrup: Selective Synaptic Dampening, AAAI 2024 (arXiv:2308.07707)",
    when_not="For random samples: their importance is that of the retain set, so nothing is selected.",
    images=_images,
    ranks={"classes": 70},
    tuned=TUNED,
)
