"""What may be said of a result: a claim comes out of evidence, and evidence exists only where its criteria held."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.errors import GateMissed
from app.specs.claims import CLAIM_CAP, CLAIMS, EVIDENCE, Claim, claim_of_version, weakest
from app.specs.refusing import Refusal
from app.unlearning.judging.verifying.verdicts import Criterion, together
from app.unlearning.learning.architectures import Classifier
from app.unlearning.partition import Partition


@dataclass(frozen=True)
class AbsenceProof:
    """The record that shows that the forget set has no part in any weight."""

    digest: str
    """The `weights_digest` of the model that this training made."""
    trained_on: Tensor
    """int64: every row of the training file that any of these weights was fitted to, directly or through another model."""
    repeated_digest: str | None = None
    """`weights_digest` of the same training done once more; None where it was not repeated."""

    def holds(self, digest: str, partition: Partition) -> bool:
        """Whether the proof is about the weights of this digest, and about retained rows alone."""
        same = self.digest == digest and self.repeated_digest in (None, digest)
        retained = torch.isin(self.trained_on, partition.train.retain)
        return same and len(self.trained_on) > 0 and bool(retained.all())


@dataclass(frozen=True)
class Repetition:
    """What came of carrying the method out once more, or why that says nothing."""

    equal: bool | None
    """Whether the repetition gave the verified weights again, bit by bit; None where the method was not repeated."""
    digest: str | None = None
    """`weights_digest` of the weights that the repetition gave."""
    why_not: str | None = None
    """The sentence that says why it was not repeated."""


@dataclass(frozen=True)
class Sought:
    """The claim that the method and the refusal aim at, to be held against the evidence."""

    method_claim: Claim
    """`MethodSpec.claim` of the method; `edited` for editing."""
    refusal: Refusal
    utility_budget: float
    """Accuracy on retained classes that may be lost, 0..1."""
    proof: AbsenceProof | None = None
    """The proof of methods that begin every layer anew and read retained rows alone; None for other methods."""
    absent: bool = False
    """Whether no weight of the method's result was ever fitted to what is forgotten now, whatever is refused beside."""
    parent_claim: Claim | None = None
    """The claim of the version it is made from; None where that version has forgotten nothing."""
    still_answered: float | None = None
    """Share of the classes' training images that the method by itself, nothing struck yet, still gives their class;
    None for `edit`, which strikes rows itself, and for samples."""

    @property
    def claim(self) -> Claim:
        """The most that is sought: the weaker of method and refusal, and never `exact` without a proof."""
        capped = weakest(self.method_claim, CLAIM_CAP[self.refusal])
        return weakest(capped, "approximate") if self.proof is None else capped


@dataclass(frozen=True)
class Evidence:
    """All criteria that a claim needs, each of which held; where one did not, no object of this type can be made."""

    supports: Claim
    criteria: tuple[Criterion, ...]

    def __post_init__(self) -> None:
        """Raise GateMissed where a criterion is missing, failed or could not be judged."""
        missing = [level for level in EVIDENCE[self.supports] if held(self.criteria, level) is not True]
        if missing:
            raise GateMissed(
                f"There is no evidence for the claim {self.supports}: what {missing[0]} needs did not hold."
            )


@dataclass(frozen=True)
class SupportedClaim:
    """A claim, which can only be what the evidence supports, and no more than was sought."""

    evidence: Evidence
    cap: Claim
    parent: Claim | None = None
    """The claim of the parent, as `Sought.parent_claim`."""

    @property
    def shown(self) -> Claim:
        """The claim that the evidence supports, up to the cap, without regard to what was forgotten before."""
        return weakest(self.evidence.supports, self.cap)

    @property
    def level(self) -> Claim:
        """The claim of the version."""
        return claim_of_version(self.shown, self.parent)


def strongest_claim(criteria: Sequence[Criterion], sought: Claim, parent: Claim | None = None) -> SupportedClaim | None:
    """The strongest claim, up to the one sought, that these criteria are evidence for; None if there is none.

    `parent` is the claim of the parent, as in `Sought.parent_claim`.
    """
    affordable = CLAIMS[: CLAIMS.index(sought) + 1]
    for claim in reversed(affordable):
        if all(held(criteria, level) is True for level in EVIDENCE[claim]):
            return SupportedClaim(Evidence(claim, tuple(criteria)), sought, parent)
    return None


def held(criteria: Sequence[Criterion], level: Claim) -> bool | None:
    """Whether everything held that is needed for this level; None where something could not be judged, or nothing was.

    Criteria without power count for nothing and stop nothing.
    """
    counting = [found for found in criteria if found.needed_for == level and found.power is not False]
    return together(found.passed for found in counting)


def weights_digest(model: Classifier) -> str:
    """SHA-256, in hex, of names, shapes and bits of all parameters.

    Buffers are left out, and with them what is struck.
    """
    found = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        values = parameter.detach().cpu().contiguous()
        found.update(f"{name} {values.dtype} {list(values.shape)}\n".encode())
        found.update(values.numpy().tobytes())
    return found.hexdigest()
