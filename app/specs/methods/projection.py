"""`projection`: take out of the layers the directions of the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from app.specs.methods.method import EVERY_REFUSAL, NO_PROOF, STANDARD, MethodSpec, Tuned
from app.specs.methods.work import FORWARD, JUDGED, Work
from app.specs.refusing import Budgets

TUNED = Tuned("retain_scale", values=(300.0, 150.0, 100.0, 70.0, 50.0, 30.0, 20.0, 10.0, 3.0, 1.0), expected_tries=5.0)
"""Scales to try: the less the lesser directions of the retain set count, the more is taken out."""
FORGET_ROWS = 300
RETAIN_ROWS = 900
"""Training rows whose activations span the subspaces, at most."""


@dataclass(frozen=True)
class ProjectionParameters(Budgets):
    """Parameters of the method `projection`."""

    retain_scale: Annotated[float, Ge(1), Le(1e6)] | None = None
    """How much the lesser directions of the retain set count, too; if empty, it is tuned."""
    forget_scale: Annotated[float, Ge(1), Le(1e6)] = 3.0
    """How much the lesser directions of the forget set count, too; it is never tuned."""


def _images(work: Work, parameters: ProjectionParameters) -> float:  # noqa: ARG001  every method is asked alike
    """The cost of the activations that span the subspaces, which come first; a candidate is only judged."""
    return (FORGET_ROWS + RETAIN_ROWS) * FORWARD + TUNED.tries(parameters) * JUDGED


SPEC = MethodSpec(
    name="projection",
    parameters=ProjectionParameters,
    claim="approximate",
    targets=("classes",),
    modes=STANDARD,
    refusals=EVERY_REFUSAL,
    reads_forget_set=True,
    recurrent=False,
    idea="Takes out of every layer the directions that inputs of the forget set have and retained ones have not.",
    equation="W <- W (I - (I - P_r) P_f);  P = U S U^T, S = a s / ((a - 1) s + 1), s shares of squared singular values",
    guarantee=NO_PROOF,
    paper="Kodge, Saha, Roy: Deep Unlearning, TMLR 2024 (arXiv:2312.00761)",
    when_not="When forgotten and retained classes share their directions: then little can be taken out.",
    images=_images,
    ranks={"classes": 80},
    tuned=TUNED,
)
