"""What a verification does not prove, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from app.specs.claims import LEAST_REFERENCES
from app.unlearning.judging.verifying.bench import Bench
from app.unlearning.judging.verifying.observations import MOST_ROWS
from app.unlearning.judging.verifying.verdicts import Criterion

_ALWAYS = (
    "That no other attack finds more than the ones that were tried.",
    "That copies of the data or of older weights outside this model are gone.",
    "Anything of single inputs: every figure is a mean over a set.",
    "Anything of other weights than those of the digest.",
)


def does_not_prove(bench: Bench, criteria: Sequence[Criterion]) -> tuple[str, ...]:
    """The sentences that apply."""
    peers, depth = bench.peers, bench.peers.sets.depth
    applies = {
        "How near a retrained model it is: there was none to compare with.": not peers.references,
        "How far two retrained models are apart, and so how near is near enough: there were fewer than three.": (
            0 < len(peers.references) < LEAST_REFERENCES
        ),
        "That anything moved from the original: it is gone, and no control could be run on it.": peers.original is None,
        f"What a larger sample would show: at most {MOST_ROWS[depth]} rows of a set were looked at.": True,
        "What lower layers hold, and how fast it is relearned: only the fast set was run.": depth == "fast",
        "That the features know nothing of the classes: refusing them was learned from their images.": (
            bench.sought.refusal == "push"
        ),
        "That nothing beside the features knows the classes: a guard that refuses them does, until it is deleted.": (
            bench.sought.refusal == "guard"
        ),
        "That the rows told in the proof are all that were read: they are taken as told.": _repeated(bench) is False,
        "That what the repetition began from is what it is said to be: the data, and of sisa and euk the version before, "
        "are taken as stored.": _repeated(bench) is True,
        "What figures without power show: the original passes them, or retrained models do not.": (
            any(found.power is False for criterion in criteria for found in criterion.measurements)
        ),
    }
    return (*_ALWAYS, *(sentence for sentence, applied in applies.items() if applied))


def _repeated(bench: Bench) -> bool | None:
    """Whether the training that a proof is about was done once more; None where there is no proof."""
    proof = bench.sought.proof
    return None if proof is None else proof.repeated_digest is not None
