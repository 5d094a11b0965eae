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
    """The field of its parameters; a value sent is the only one that is tried."""
    values: tuple[float, ...]
    """Tried in this order."""
    expected_tries: float
    """How many of them are tried, on average of measured runs (benchmarks/methods/expected.py)."""
    values_of_samples: tuple[float, ...] = ()
    """Tried in place of `values` where samples are forgotten; empty: the same."""

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
    """It asks for the method, and names its two files: this spec's, and that of the computation."""
    parameters: type[Budgets]
    claim: Claim
    """What its result may claim at most, once it was compared with a retrained model where it is `approximate`."""
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
    """What it costs with its parameters, tuning included: images, as training steps pass them."""
    ranks: Mapping[TargetKind, int]
    """Where it stands among all methods where `auto` chooses, the lowest first, by target; a kind left out: never chosen
    before those that are listed. By how near retrained models each came in trials on MNIST while the methods were made, of
    samples by how often a figure with power showed that they were forgotten (docs/verification.md); editing and exact
    retraining last for their claim and their time; nothing is measured on the model at hand."""
    ranks_without_convolutions: Mapping[TargetKind, int] = field(default_factory=dict)
    """What takes the place of `ranks` for networks without convolutions."""
    tuned: Tuned | None = None
    settings: type[Budgets] | None = None
    """Its parameters together with what a request names beside them; None where it names nothing."""
    default_refusal: Refusal = "calibrate"
    """The refusal of classes where a request says nothing."""
    stage: str = "unlearning"
    """What its work is called in progress and in the seconds of a report."""
    share_of_progress: float = 0.6
    """How far the progress of forgetting has come when it is done, 0..0.7; refusing and measuring follow."""
    description: str = ""
    """In words; empty: `summary` says idea, equation and guarantee."""
    against_modes: Mapping[Mode, str] = field(default_factory=dict)
    """What to say of a mode that it does not go with, where there is more to say than that."""

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
        """Where it stands among all methods; infinite where it is not listed."""
        listed = self.ranks if convolutional else {**self.ranks, **self.ranks_without_convolutions}
        return listed.get(target, float("inf"))


def reasons_against(
    spec: MethodSpec, *, target: TargetKind, mode: Mode, architecture: Architecture, refusal: Refusal
) -> list[FieldError]:
    """Everything that speaks against using a method here, each with a pointer into a forget request; none if it applies."""
    found = []
    if target not in spec.targets:
        found.append(FieldError("/target", f"This method forgets {' and '.join(spec.targets)}, not {target}."))
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
