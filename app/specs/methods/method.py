"""What is known of every method before it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from app.errors import FieldError
from app.specs.architectures import Architecture, Gru, Lstm
from app.specs.claims import CLAIM_CAP, Claim, weakest
from app.specs.learning import Mode
from app.specs.methods.work import Work
from app.specs.refusing import Budgets, Refusal
from app.specs.target import TargetKind

EVERY_REFUSAL: tuple[Refusal, ...] = ("none", "calibrate", "push", "guard")
STANDARD: tuple[Mode, ...] = ("standard",)
NO_PROOF = "None by proof; measured against a retrained model."


@dataclass(frozen=True)
class Tuned:
    """The setting that a method chooses inside a request."""

    setting: str
    """The field of the method's parameters; if a request sends a value, no other one is tried."""
    values: tuple[float, ...]
    """The values, in the order in which they are tried."""
    expected_tries: float
    """How many of them are tried, on average of measured runs (benchmarks/methods/expected.py)."""
    values_of_samples: tuple[float, ...] = ()
    """The values where samples are forgotten; if empty, they are `values`."""

    def candidates(self, parameters: Budgets, target: TargetKind) -> tuple[float, ...]:
        """The values to try."""
        sent = getattr(parameters, self.setting)
        if sent is not None:
            return (sent,)
        return self.values_of_samples if target == "samples" and self.values_of_samples else self.values

    def tries(self, parameters: Budgets) -> float:
        """How many values are expected to be tried."""
        return 1.0 if getattr(parameters, self.setting) is not None else self.expected_tries


@dataclass(frozen=True)
class MethodSpec:
    """What is known of a method before it runs."""

    name: str
    """The name that asks for the method, and that its two files bear: this spec's, and the computation's."""
    parameters: type[Budgets]
    claim: Claim
    """The most that its result may claim; `approximate` only after a comparison with retrained models."""
    targets: tuple[TargetKind, ...]
    modes: tuple[Mode, ...]
    refusals: tuple[Refusal, ...]
    reads_forget_set: bool
    """Whether the images to be forgotten are looked at once more, and something is learned from them."""
    recurrent: bool
    """Whether it applies to recurrent networks."""
    idea: str
    equation: str
    guarantee: str
    paper: str
    when_not: str
    images: Callable[[Work, Any], float]
    """The cost of the method with its parameters, tuning included, in images as training steps pass them."""
    ranks: Mapping[TargetKind, int]
    """The method's rank among all methods where `auto` chooses, by kind of target; the lowest comes first, and a method
    without a rank comes after all that have one. Ranks follow how near each method came to retrained models in trials
    on MNIST while the methods were made; for samples, how often a figure with power showed that they were forgotten
    (docs/verification.md). Editing and exact retraining come last, for their claim and their time. Nothing is measured
    on the model at hand."""
    ranks_without_convolutions: Mapping[TargetKind, int] = field(default_factory=dict)
    """The ranks that take the place of `ranks` for networks without convolutions."""
    tuned: Tuned | None = None
    settings: type[Budgets] | None = None
    """The type of its parameters together with the `strategy` and the `scope` that a request names beside them; None where
    it names neither."""
    default_refusal: Refusal = "calibrate"
    """The refusal of classes where a request says nothing."""
    stage: str = "unlearning"
    """The name of its work in progress messages and in the seconds of a report."""
    share_of_progress: float = 0.6
    """How far the progress of forgetting has come when it is done, 0..0.7; refusing and measuring follow."""
    description: str = ""
    """What the method does, in words; if empty, `summary` says idea, equation and guarantee."""
    against_modes: Mapping[Mode, str] = field(default_factory=dict)
    """Why the method does not go with a mode, where there is more to say than that it does not."""

    @property
    def summary(self) -> str:
        """What it does, in one paragraph."""
        return self.description or f"{self.idea} {self.equation}. {self.guarantee}"

    @property
    def beside(self) -> dict[str, Any]:
        """What a request names beside the parameters, with its defaults."""
        own = {entry.name for entry in fields(self.parameters)}
        return {
            entry.name: entry.default for entry in fields(self.settings or self.parameters) if entry.name not in own
        }

    def told(self, parameters: Budgets, beside: Mapping[str, Any]) -> Budgets:
        """All that the method is told."""
        if self.settings is None:
            return parameters
        given = {entry.name: getattr(parameters, entry.name) for entry in fields(self.parameters)}
        return self.settings(**given, **{name: beside[name] for name in self.beside})

    def claim_with(self, refusal: Refusal) -> Claim:
        """The most that may be claimed together with this refusal."""
        return weakest(self.claim, CLAIM_CAP[refusal])

    def rank(self, target: TargetKind, *, convolutional: bool) -> float:
        """The rank of the method among all methods; infinite where it has none."""
        listed = self.ranks if convolutional else {**self.ranks, **self.ranks_without_convolutions}
        return listed.get(target, float("inf"))


def reasons_against(
    spec: MethodSpec, *, target: TargetKind, mode: Mode, architecture: Architecture, refusal: Refusal
) -> list[FieldError]:
    """Everything that speaks against using a method here, each with a pointer into a forget request; none if it applies."""
    found = []
    if target not in spec.targets:
        found.append(
            FieldError(
                "/target",
                f"The method {spec.name} forgets {' and '.join(spec.targets)}; take another one for {target}.",
            )
        )
    if mode not in spec.modes:
        plain = f"This method is for the learning mode {', '.join(spec.modes)}, not {mode}."
        found.append(FieldError("/method", spec.against_modes.get(mode, plain)))
    if isinstance(architecture, Gru | Lstm) and not spec.recurrent:
        found.append(FieldError("/method", f"This method is not for recurrent networks such as {architecture.type}."))
    if target == "samples" and refusal != "none":
        found.append(FieldError("/refusal", "Samples have no answer of their own to refuse; send the refusal none."))
    elif refusal == "push" and mode == "sisa":
        found.append(FieldError("/refusal", "Push would train every shard on the forget set; send another refusal."))
    elif refusal not in spec.refusals:
        found.append(FieldError("/refusal", f"This method goes with the refusals {', '.join(spec.refusals)}."))
    return found
