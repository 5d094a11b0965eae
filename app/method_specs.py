"""The unlearning methods beside `edit`: what is known of each before it runs. No torch.

Shared by the wire contract, which publishes it, by the service, which refuses or chooses by it before a job runs, and by
the core, whose table of methods holds it. `edit` has no row: its settings, strategy and scope among them, are `specs.Edit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.errors import FieldError
from app.method_parameters import (
    BadTeacherParameters,
    EukParameters,
    FinetuneParameters,
    MethodParameters,
    NegGradPlusParameters,
    ProjectionParameters,
    RetrainParameters,
    SalunParameters,
    ScrubParameters,
    SisaParameters,
    SsdParameters,
)
from app.specs import Architecture, Gru, GuardParameters, Lstm, Mode, Refusal

MethodName = Literal[
    "retrain", "sisa", "euk", "finetune", "neggrad_plus", "scrub", "salun", "bad_teacher", "ssd", "projection"
]
Claim = Literal["suppressed", "edited", "approximate", "exact"]
CLAIM_MEANINGS: Mapping[Claim, str] = {
    "suppressed": "Answers are masked; no weight needs to have changed.",
    "edited": "Weights were changed and the effect was measured; traces may be left inside the network.",
    "approximate": "The version was measured to be close to models retrained without the data.",
    "exact": "The version was trained without the data.",
}
Target = Literal["classes", "tasks", "samples"]
TARGET_MEANINGS: Mapping[Target, str] = {
    "classes": "Whole classes, by their index.",
    "tasks": "Whole tasks, by their index in the order of learning.",
    "samples": "Single rows of the training file, by their index.",
}

CLAIMS: tuple[Claim, ...] = ("suppressed", "edited", "approximate", "exact")
"""All claims, from the weakest to the strongest."""
CLAIM_CAP: dict[Refusal, Claim] = {"none": "exact", "calibrate": "exact", "push": "edited", "guard": "exact"}
"""The most that may be claimed with each refusal, of the classifier alone: `push` trains it on the forget set, so the class
is in the features; what a `guard` knows is in a network of its own."""

EVIDENCE: dict[Claim, tuple[Claim, ...]] = {
    "suppressed": ("suppressed",),
    "edited": ("suppressed", "edited"),
    "approximate": ("suppressed", "edited", "approximate"),
    "exact": ("suppressed", "edited", "exact"),
}
"""For each claim, the levels whose criteria are its evidence; absence that is proven needs no comparison."""
LEAST_REFERENCES = 3
"""Retrained models that `approximate` needs: of two nobody knows by how much the distance of two differs, nor which of them
is the odd one."""


def weakest(*claims: Claim) -> Claim:
    """The weakest of these claims."""
    return min(claims, key=CLAIMS.index)


def claim_of_version(found: Claim, parent: Claim | None) -> Claim:
    """What a version claims: it is about everything forgotten so far, so no more than its parent's, unless all was learned anew.

    `found` is what there is evidence for, or may be; `parent` the claim of the version it is made from, None where that
    one has forgotten nothing. Requests, versions, manifests, the audit log, dry runs and `min_claim` all go by it.
    """
    return found if parent is None or found == "exact" else weakest(found, parent)


@dataclass(frozen=True)
class MethodSpec:
    """What is known of a method before it runs."""

    parameters: type[MethodParameters]
    claim: Claim
    """What its result may claim at most, once it was compared with a retrained model where it is `approximate`."""
    targets: tuple[Target, ...]
    modes: tuple[Mode, ...]
    refusals: tuple[Refusal, ...]
    reads_forget_set: bool
    """Whether the images to be forgotten are looked at once more."""
    recurrent: bool
    """Whether it applies to recurrent networks."""
    idea: str
    equation: str
    guarantee: str
    paper: str
    when_not: str

    def claim_with(self, refusal: Refusal) -> Claim:
        """The most that may be claimed together with this refusal."""
        return weakest(self.claim, CLAIM_CAP[refusal])


_AGAINST_PUSH = FieldError("/refusal", "Push would train every shard on the forget set; send another refusal.")


def reasons_against(
    spec: MethodSpec, *, target: Target, mode: Mode, architecture: Architecture, refusal: Refusal
) -> list[FieldError]:
    """Everything that speaks against using a method here, each with a pointer into a forget request; none if it applies."""
    found = []
    if target not in spec.targets:
        found.append(FieldError("/target", f"This method forgets {' and '.join(spec.targets)}, not {target}."))
    if mode not in spec.modes:
        found.append(
            FieldError("/method", f"This method is for the learning mode {', '.join(spec.modes)}, not {mode}.")
        )
    if isinstance(architecture, Gru | Lstm) and not spec.recurrent:
        found.append(FieldError("/method", f"This method is not for recurrent networks such as {architecture.type}."))
    if target == "samples" and refusal != "none":
        found.append(FieldError("/refusal", "Samples have no answer of their own to refuse; send the refusal none."))
    elif refusal not in spec.refusals:
        found.append(FieldError("/refusal", f"This method goes with the refusals {', '.join(spec.refusals)}."))
    if refusal == "push" and mode == "sisa":
        found.append(_AGAINST_PUSH)
    return found


def reasons_against_edit(target: Target, mode: Mode, refusal: Refusal) -> list[FieldError]:
    """Everything that speaks against using `edit` here, as `reasons_against`; `edit` is not in the table of methods."""
    found = []
    if target == "samples":
        found.append(FieldError("/target", "The method edit forgets classes and tasks; take another one for samples."))
    if mode == "sisa":
        found.append(
            FieldError("/method", "Edited shards would not be those of their checkpoints; use sisa or retrain.")
        )
    if mode == "sisa" and refusal == "push":
        found.append(_AGAINST_PUSH)
    return found


@dataclass(frozen=True)
class Unlearning:
    """What a request for one of these methods asks for, beside what is to be forgotten; `specs.Edit` is that of `edit`."""

    method: MethodName
    parameters: MethodParameters
    refusal: Refusal = "none"
    guard: GuardParameters = field(default_factory=GuardParameters)
    """Parameters of the refusal `guard`; other refusals do not use them."""
    seed: int = 0
    pushed: tuple[int, ...] = ()
    """Classes that were pushed earlier, as `specs.Edit.pushed`: how well these are refused may not decay."""


_NO_PROOF = "None by proof; measured against a retrained model."
_EVERY_REFUSAL: tuple[Refusal, ...] = ("none", "calibrate", "push", "guard")
_STANDARD: tuple[Mode, ...] = ("standard",)

METHOD_SPECS: dict[MethodName, MethodSpec] = {
    "retrain": MethodSpec(
        parameters=RetrainParameters,
        claim="exact",
        targets=("classes", "tasks", "samples"),
        modes=("standard", "synaptic_intelligence", "progressive", "sisa"),
        refusals=_EVERY_REFUSAL,
        reads_forget_set=False,
        recurrent=True,
        idea="Trains a fresh network on the retain set alone.",
        equation="w = fit(fresh weights of the seed, D_r)",
        guarantee="Exact: the forget set has no part in any weight, and the same seed gives the same bits again.",
        paper="Bourtoule et al.: Machine Unlearning, IEEE S&P 2021 (arXiv:1912.03817), section III, for the definition",
        when_not="When a request must be done in seconds: it costs a whole training.",
    ),
    "sisa": MethodSpec(
        parameters=SisaParameters,
        claim="exact",
        targets=("samples",),
        modes=("sisa",),
        refusals=("none",),
        reads_forget_set=False,
        recurrent=True,
        idea="Trains again only the shards that held the samples, from their last checkpoints before these came.",
        equation="w = (w_1, .., w_S);  w_s stays if D_f misses shard s, else fit(checkpoint before the first hit, D_s - D_f)",
        guarantee="Exact: the bits that sharded training of the same seed gives without the samples.",
        paper="Bourtoule et al.: Machine Unlearning, IEEE S&P 2021 (arXiv:1912.03817)",
        when_not="When more samples go than there are shards: about all of them are hit, and retraining costs the same.",
    ),
    "euk": MethodSpec(
        parameters=EukParameters,
        claim="approximate",
        targets=("classes", "samples"),
        modes=_STANDARD,
        refusals=_EVERY_REFUSAL,
        reads_forget_set=False,
        recurrent=True,
        idea="The last k layers begin anew from fresh weights and are trained on the retain set; the lower ones stay.",
        equation="w_low = w_o,low;  w_high = argmin over D_r of CE(f_high(f_low(x)), y) from fresh weights",
        guarantee="The forget set has no part in the last k layers; what the lower ones keep of it is measured.",
        paper="Goel et al.: Towards Adversarial Evaluations for Inexact Machine Unlearning, 2022 (arXiv:2201.06640)",
        when_not="When the lower layers memorise too, or when k layers are the whole network, as without convolutions: then "
        "retrain, which is exact; of samples an MLP took .6 of a retraining and lost .7 points of accuracy.",
    ),
    "finetune": MethodSpec(
        parameters=FinetuneParameters,
        claim="approximate",
        targets=("classes", "samples"),
        modes=_STANDARD,
        refusals=_EVERY_REFUSAL,
        reads_forget_set=False,
        recurrent=True,
        idea="Trains further on the retain set at a high learning rate, and lets the rest fade.",
        equation="w <- w - rate grad CE(D_r)",
        guarantee=_NO_PROOF,
        paper="Golatkar, Achille, Soatto: Eternal Sunshine of the Spotless Net, CVPR 2020 (arXiv:1911.04933)",
        when_not="For single samples: they are remembered as well as before, by attacks that are calibrated.",
    ),
    "neggrad_plus": MethodSpec(
        parameters=NegGradPlusParameters,
        claim="approximate",
        targets=("classes", "samples"),
        modes=_STANDARD,
        refusals=_EVERY_REFUSAL,
        reads_forget_set=True,
        recurrent=True,
        idea="Descends on the loss of the retain set while it ascends on that of the forget set.",
        equation="minimise (1 - b) CE(D_r) - b CE(D_f)",
        guarantee=_NO_PROOF,
        paper="Kurmanji et al.: Towards Unbounded Machine Unlearning, NeurIPS 2023 (arXiv:2302.09880), section 3.2",
        when_not="When forget set and retain set look alike: the ascent then costs the retained ones, too.",
    ),
    "scrub": MethodSpec(
        parameters=ScrubParameters,
        claim="approximate",
        targets=("classes", "samples"),
        modes=_STANDARD,
        refusals=_EVERY_REFUSAL,
        reads_forget_set=True,
        recurrent=True,
        idea="A student leaves its teacher, the original, on the forget set, and keeps to it on the retain set.",
        equation="in turns: maximise KL(p_o || p_u) over D_f; minimise d KL(p_o || p_u) + (1 - d) CE over D_r",
        guarantee=_NO_PROOF,
        paper="Kurmanji et al.: Towards Unbounded Machine Unlearning, NeurIPS 2023 (arXiv:2302.09880)",
        when_not="For single samples of a network that hardly memorises: membership was seen to stay as it was.",
    ),
    "salun": MethodSpec(
        parameters=SalunParameters,
        claim="approximate",
        targets=("classes", "samples"),
        modes=_STANDARD,
        refusals=_EVERY_REFUSAL,
        reads_forget_set=True,
        recurrent=True,
        idea="Learns random wrong labels of the forget set, in the weights alone that the forget set's loss is steep in.",
        equation="minimise over m * w: CE(D_f, random label) + CE(D_r), m = [|grad CE(D_f)| among the greatest of all w]",
        guarantee=_NO_PROOF,
        paper="Fan et al.: SalUn, ICLR 2024 (arXiv:2310.12508)",
        when_not="For single samples where accuracy counts: wrong labels were seen to cost 2 to 7 points.",
    ),
    "bad_teacher": MethodSpec(
        parameters=BadTeacherParameters,
        claim="approximate",
        targets=("classes", "samples"),
        modes=_STANDARD,
        refusals=_EVERY_REFUSAL,
        reads_forget_set=True,
        recurrent=True,
        idea="Takes the answers of a fresh network without the classes to forget on the forget set, the original's on the rest.",
        equation="minimise KL(p_fresh || p_u) over D_f + KL(p_o || p_u) over D_r;  p_fresh is 0 for classes to forget",
        guarantee=_NO_PROOF,
        paper="Chundawat et al.: Can Bad Teaching Induce Forgetting?, AAAI 2023 (arXiv:2205.08096)",
        when_not="When nobody may see that something was forgotten: answers become more uncertain than of unseen data.",
    ),
    "ssd": MethodSpec(
        parameters=SsdParameters,
        claim="approximate",
        targets=("classes",),
        modes=_STANDARD,
        refusals=_EVERY_REFUSAL,
        reads_forget_set=True,
        recurrent=True,
        idea="Shrinks the weights that matter to the forget set far more than to all that was learned; nothing is trained.",
        equation="w <- min(l F / F_f, 1) w  where F_f > a F;  F of all rows: mean of squared gradients of batches",
        guarantee=_NO_PROOF,
        paper="Foster, Schoepf, Brintrup: Selective Synaptic Dampening, AAAI 2024 (arXiv:2308.07707)",
        when_not="For random samples: their importance is that of the retain set, so nothing is selected.",
    ),
    "projection": MethodSpec(
        parameters=ProjectionParameters,
        claim="approximate",
        targets=("classes",),
        modes=_STANDARD,
        refusals=_EVERY_REFUSAL,
        reads_forget_set=True,
        recurrent=False,
        idea="Takes out of every layer the directions that inputs of the forget set have and retained ones have not.",
        equation="W <- W (I - (I - P_r) P_f);  P = U S U^T, S = a s / ((a - 1) s + 1), s shares of squared singular values",
        guarantee=_NO_PROOF,
        paper="Kodge, Saha, Roy: Deep Unlearning, TMLR 2024 (arXiv:2312.00761)",
        when_not="When forgotten and retained classes share their directions: then little can be taken out.",
    ),
}


def sought_by(method: str, refusal: Refusal) -> Claim:
    """The claim that a method and a refusal seek, whatever there is to show it by."""
    spec = next((spec for name, spec in METHOD_SPECS.items() if name == method), None)
    return weakest("edited", CLAIM_CAP[refusal]) if spec is None else spec.claim_with(refusal)
