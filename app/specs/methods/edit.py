"""`edit`: replace the weights of the forgotten classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le, Lt

from app.specs.fields import STRICT
from app.specs.learning import Mode
from app.specs.methods.method import EVERY_REFUSAL, MethodSpec
from app.specs.methods.work import Work
from app.specs.refusing import PushParameters

Strategy = Literal["zero", "random"]
STRATEGY_MEANINGS: Mapping[Strategy, str] = {
    "zero": "The chosen weights become 0.",
    "random": "The chosen weights become random numbers like those of their row or layer.",
}
Scope = Literal["output", "network"]
SCOPE_MEANINGS: Mapping[Scope, str] = {
    "output": "Only the output rows of the forgotten classes are replaced.",
    "network": "The output rows are replaced, and a share of the hidden weights that matter most to what is forgotten.",
}
SHARE: dict[Mode, float] = {"standard": 0.02, "synaptic_intelligence": 0.1, "progressive": 0.1, "sisa": 0.02}
"""Share of the hidden weights that is replaced where a request says nothing."""
RECURRENT_SHARE = 0.005
"""Share of the hidden weights that is replaced in recurrent networks without tasks: each weight acts once per row of
the image, so a few of them do much."""
Selection = Literal["importance", "sensitivity", "l2_shrink"]
SELECTION_MEANINGS: Mapping[Selection, str] = {
    "importance": "Weights are chosen by their importance to the forget set over that to the retain set.",
    "sensitivity": "Weights are chosen by |weight x gradient| on the forget set over that on the retain set.",
    "l2_shrink": "Weights are chosen as by `importance`, and multiplied by `shrink` in place of being replaced.",
}


FORGET_ROWS = 1000
"""Training rows of the forget set that importance is measured on, at most."""
RETAIN_ROWS = 1000
"""Training rows of the retain set that importance is measured on, at most."""
_PER_SAMPLE_STEPS = 3  # training steps that one per-sample gradient is worth


@dataclass(frozen=True)
class EditParameters(PushParameters):
    """Parameters of the method `edit`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    selection: Selection = "importance"
    """How hidden weights are chosen: Fisher ratio, |weight x gradient| ratio, or importance with shrinking."""
    share: Annotated[float, Ge(0), Le(1)] | None = None
    """Share of each hidden layer's weights that is replaced (scope `network`); in a growing network it is a share of
    the weights that the task added. If empty: .02, for recurrent networks .005, for tasks .1."""
    threshold: Annotated[float, Ge(0), Le(1)] = 0.5
    """Least share of a weight's importance that must be the task's own for the weight to be replaced; used for tasks
    alone."""
    shrink: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Factor applied by `l2_shrink` to the chosen hidden weights instead of replacing them."""


@dataclass(frozen=True)
class EditSettings(EditParameters):
    """Everything that `edit` is told: its parameters, and what a request names beside them."""

    strategy: Strategy = "zero"
    scope: Scope = "network"


def _images(work: Work, parameters: EditParameters) -> float:  # noqa: ARG001  every method is asked alike
    """The cost of the importance of hidden weights: per-sample gradients of forget and retain rows."""
    return 0.0 if parameters.share == 0 else float((FORGET_ROWS + RETAIN_ROWS) * _PER_SAMPLE_STEPS)


SPEC = MethodSpec(
    name="edit",
    parameters=EditParameters,
    claim="edited",
    targets=("classes", "tasks"),
    modes=("standard", "synaptic_intelligence", "progressive"),
    against_modes={"sisa": "Edited shards would not be those of their checkpoints; use sisa or retrain."},
    refusals=EVERY_REFUSAL,
    reads_forget_set=False,
    recurrent=True,
    description="Replaces the output weights of the forgotten classes, and with the scope `network` the hidden weights "
    "that matter to them alone, of a task those that are its own; then lets a null unit answer 0 in their place.",
    idea="Replaces the weights that matter to the forget set alone; no gradient step is taken.",
    equation="w_c = 0 or random; w_i likewise where F_f / F_r is among the greatest; F = mean of squared gradients",
    guarantee="The output row of the class holds nothing of it; what hidden layers keep is measured.",
    paper="Foster, Schoepf, Brintrup: Fast Machine Unlearning Without Retraining Through Selective Synaptic Dampening, "
    "AAAI 2024 (arXiv:2308.07707), for the choice of hidden weights",
    when_not="When traces of a class must also leave the hidden features: they stay findable there, which the claim "
    "says. When a class looks much like a retained one: refusing it then costs answers of the other.",
    settings=EditSettings,
    default_refusal="push",
    stage="editing",
    share_of_progress=0.1,
    images=_images,
    ranks={"classes": 100, "tasks": 10},
)
