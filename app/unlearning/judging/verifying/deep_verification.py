"""The verb: verify one unlearned model against the original and retrained ones, and say what that proves and what not.

Nothing is fitted or chosen here: test images are measured on, and thresholds come from retrained models and from
constants. What is served is judged without naming a task.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from app.specs.claims import EVIDENCE, LEAST_REFERENCES, Claim
from app.unlearning.context import Context
from app.unlearning.judging.verifying.bench import Bench
from app.unlearning.judging.verifying.claims import (
    AbsenceProof,
    Repetition,
    Sought,
    SupportedClaim,
    held,
    strongest_claim,
)
from app.unlearning.judging.verifying.control import Control, run_control
from app.unlearning.judging.verifying.criteria import comparison_criteria, effect_criteria, shown
from app.unlearning.judging.verifying.deep_criteria import deep_criteria, deep_shown
from app.unlearning.judging.verifying.kept import observe_or_recall, observe_or_recall_all
from app.unlearning.judging.verifying.not_proved import does_not_prove
from app.unlearning.judging.verifying.observations import (
    Depth,
    Observation,
    Sets,
    observe,
    observe_all,
    observe_original,
    observe_struck,
)
from app.unlearning.judging.verifying.peers import Peers, SeenPeers
from app.unlearning.judging.verifying.verdicts import Criterion, Measurement, together
from app.unlearning.learning.architectures import Classifier
from app.unlearning.partition import Partition
from app.unlearning.refusing.guard import Guard

Verdict = Literal["passed", "failed", "inconclusive"]


@dataclass(frozen=True)
class VerificationReport:
    """What must hold, what was measured, and what follows; the verdict and the claim are derived, not stored."""

    depth: Depth
    seed: int
    digest: str
    """`weights_digest` of the model that was verified."""
    forget_classes: tuple[int, ...]
    """The classes that were forgotten; empty where samples were forgotten."""
    rows: dict[str, int]
    """How many rows of each set were looked at."""
    references: tuple[int, ...]
    """Seeds of the retrained models."""
    sought: Claim
    """The claim that method and refusal seek, without regard to what was forgotten before."""
    criteria: tuple[Criterion, ...]
    """All criteria, numbered from 1."""
    shown: tuple[Measurement, ...]
    """Figures that decide nothing."""
    control: Control
    does_not_prove: tuple[str, ...]
    parent_claim: Claim | None = None
    """The claim of the version it was made from, which a claim about everything forgotten so far cannot exceed."""
    repetition: Repetition | None = None
    """What came of the repetition; None where nobody asked for one."""

    @property
    def verdict(self) -> Verdict:
        """Whether everything held that the claim sought needs; deep, only where a control could be run."""
        outcome = together(held(self.criteria, level) for level in EVIDENCE[self.sought])
        if outcome is False:
            return "failed"
        controlled = self.depth == "fast" or self.control.complete
        return "passed" if outcome and controlled else "inconclusive"

    @property
    def supported_claim(self) -> SupportedClaim | None:
        """The claim with its evidence; None where nothing may be claimed."""
        return strongest_claim(self.criteria, self.sought, self.parent_claim)

    @property
    def claim(self) -> Claim | None:
        """The level of the supported claim, never above the evidence."""
        return None if self.supported_claim is None else self.supported_claim.level

    def as_json(self) -> dict[str, Any]:
        """The report in JSON values alone."""
        found = _as_lists(asdict(self))
        assert isinstance(found, dict)
        return {"verdict": self.verdict, "claim": self.claim, **found}


def verify(
    unlearned: Classifier, sought: Sought, sets: Sets, peers: Peers, context: Context, *, guard: Guard | None = None
) -> VerificationReport:
    """Verify `unlearned`, as served behind its guard; no model is touched.

    Same models, sets, threads, torch and kind of CPU: same report, also where a fast one finds on the shelf what its
    peers were seen to do before. Raises what ends the context.
    """
    if sets.depth == "deep":
        peers = replace(peers, shelf=None)  # what only a deep one looks at is not kept
    before = _observe_original(peers, sets, context.part(0.0, 0.15))
    struck = None
    if peers.original is not None and before is not None:
        struck = observe_struck(peers.original, before, sets, context.part(0.15, 0.2))
    after = observe(unlearned, sets, context.part(0.2, 0.4), before, guard=guard)
    retrained = _observe_retrained(peers, sets, context.part(0.4, 0.9), before)
    context.report(0.9, "judging", "criteria and control")
    report = judge(after, sought, SeenPeers(sets, before, struck, retrained, peers.kept_digest), context)
    context.report(1.0, "judging", "done")
    return report


def _observe_original(peers: Peers, sets: Sets, context: Context) -> Observation | None:
    if peers.original is None:
        return None
    if peers.shelf is None:
        return observe_original(peers.original, sets, context)
    return observe_or_recall(peers.original, sets, context, peers.shelf)


def _observe_retrained(
    peers: Peers, sets: Sets, context: Context, original: Observation | None
) -> dict[int, Observation]:
    models = peers.references.values()
    if peers.shelf is None:
        seen = observe_all(models, sets, context, original)
    else:
        seen = observe_or_recall_all(models, sets, context, peers.shelf)
    return dict(zip(peers.references, seen, strict=True))


def judge(unlearned: Observation, sought: Sought, peers: SeenPeers, context: Context) -> VerificationReport:
    """The report, from what the models were seen to do on the same sets; runs none of them."""
    sets, bench = peers.sets, Bench(unlearned, sought, peers)
    control, criteria = run_control(bench, _criteria(bench), _criteria, context)
    if len(peers.references) >= LEAST_REFERENCES:
        criteria.append(control.criterion())
    if sought.proof is not None:
        criteria.append(_absence(sought, sought.proof, unlearned, sets.partition))
    numbered = tuple(replace(criterion, number=number) for number, criterion in enumerate(criteria, 1))
    return VerificationReport(
        depth=sets.depth,
        seed=sets.seed,
        digest=unlearned.digest,
        forget_classes=sets.forget_classes,
        rows={name: len(getattr(sets, name)) for name in ("forget", "retain", "test_forget", "test_retain")},
        references=tuple(peers.references),
        sought=sought.claim,
        criteria=numbered,
        shown=tuple(shown(bench) + (deep_shown(bench) if sets.depth == "deep" else [])),
        control=control,
        does_not_prove=does_not_prove(bench, criteria),
        parent_claim=sought.parent_claim,
    )


def _criteria(bench: Bench) -> list[Criterion]:
    """The criteria of any model, without numbers."""
    found = effect_criteria(bench)
    if len(bench.peers.references) < LEAST_REFERENCES:
        found.append(_too_few_references(bench))
    if not bench.peers.references:
        return found
    found += comparison_criteria(bench)
    if bench.peers.sets.depth == "deep":
        found += deep_criteria(bench)
    return found


def _too_few_references(bench: Bench) -> Criterion:
    """The criterion of enough references: it takes two at least to tell how far apart retrained models are."""
    statement = f"There are {LEAST_REFERENCES} retrained models or more to compare with; there is {len(bench.peers.references) or 'none'}."
    return Criterion(0, "reference", statement, "approximate", None, controlled=False)


def _absence(sought: Sought, proof: AbsenceProof, unlearned: Observation, partition: Partition) -> Criterion:
    """The criterion of absence; once the training was repeated, the repetition must have given these weights."""
    statement = "The rows that these very weights were fitted to are retained rows, every one."
    needed_for: Claim = "exact"
    if proof.repeated_digest is not None:
        statement += " The training, done once more, gives these weights bit by bit."
        needed_for = sought.claim
    return Criterion(0, "absent", statement, needed_for, proof.holds(unlearned.digest, partition), controlled=False)


def _as_lists(value: Any) -> Any:
    """Tuples as lists, at every depth."""
    if isinstance(value, dict):
        return {name: _as_lists(entry) for name, entry in value.items()}
    return [_as_lists(entry) for entry in value] if isinstance(value, list | tuple) else value
