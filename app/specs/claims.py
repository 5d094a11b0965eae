"""What may be claimed of a version that forgot, from the weakest claim to the strongest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from app.specs.refusing import Refusal

Claim = Literal["suppressed", "edited", "approximate", "exact"]
CLAIM_MEANINGS: Mapping[Claim, str] = {
    "suppressed": "Answers are masked; no weight needs to have changed.",
    "edited": "Weights were changed and the effect was measured; traces may be left inside the network.",
    "approximate": "The version was measured to be close to models retrained without the data.",
    "exact": "The version was trained without the data.",
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
"""For each claim, the levels whose criteria are its evidence; a proven absence needs no comparison."""
LEAST_REFERENCES = 3
"""Retrained models that `approximate` needs: from two nobody can tell by how much the distance of two differs, nor
which of them is the odd one."""


def weakest(*claims: Claim) -> Claim:
    """The weakest of these claims."""
    return min(claims, key=CLAIMS.index)


def claim_of_version(found: Claim, parent: Claim | None) -> Claim:
    """What a version claims.

    The claim is about everything forgotten so far, so it is no more than the parent's, unless all was learned anew.

    `found` is the claim that evidence supports, or may support; `parent` is the claim of the version it is made from,
    None where that one has forgotten nothing. Requests, versions, manifests, the audit log, dry runs and `min_claim`
    all go by it.
    """
    return found if parent is None or found == "exact" else weakest(found, parent)
