"""The verb: verify one unlearned model against the original and retrained ones, and say what that proves and what not.

Nothing is fitted or chosen here: test images are measured on, and thresholds come from retrained models and from
constants. What is served is judged without naming a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from app.method_specs import Claim
from app.unlearning.architectures import Classifier
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.guard import Guard
from app.unlearning.partition import Partition
from app.unlearning.verifying.bench import Bench
from app.unlearning.verifying.claims import EVIDENCE, Sought, SupportedClaim, held, strongest_claim
from app.unlearning.verifying.comparisons import comparison_drafts, effect_criteria, shown
from app.unlearning.verifying.control import Control, run_control
from app.unlearning.verifying.deep_comparisons import deep_drafts, deep_shown
from app.unlearning.verifying.limits import does_not_prove
from app.unlearning.verifying.observations import (
    Depth,
    Observation,
    Sets,
    draw_sets,
    observe,
    observe_all,
    observe_original,
)
from app.unlearning.verifying.verdicts import Criterion, Measurement, together

Verdict = Literal["passed", "failed", "inconclusive"]


@dataclass(frozen=True)
class VerificationReport:
    """What must hold, what was measured, and what follows from it; the verdict and the claim are derived, not stored."""

    depth: Depth
    seed: int
    digest: str
    """`weights_digest` of the model that was verified."""
    forget_classes: tuple[int, ...]
    """Empty where samples were forgotten."""
    rows: dict[str, int]
    """How many rows of each set were looked at."""
    references: tuple[int, ...]
    """Seeds of the retrained models."""
    sought: Claim
    criteria: tuple[Criterion, ...]
    """Numbered from 1."""
    shown: tuple[Measurement, ...]
    """Figures that decide nothing."""
    control: Control
    does_not_prove: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether everything held that the claim sought needs; deep, only beside a control that worked."""
        outcome = together(held(self.criteria, level) for level in EVIDENCE[self.sought])
        if outcome is False:
            return "failed"
        controlled = self.depth == "fast" or self.control.complete
        return "passed" if outcome and controlled else "inconclusive"

    @property
    def supported_claim(self) -> SupportedClaim | None:
        """The claim with its evidence; None where nothing may be claimed."""
        return strongest_claim(self.criteria, self.sought)

    @property
    def claim(self) -> Claim | None:
        """The level of that claim, never above the evidence."""
        return None if self.supported_claim is None else self.supported_claim.level

    def as_json(self) -> dict[str, Any]:
        """JSON values alone."""
        found = _as_lists(asdict(self))
        assert isinstance(found, dict)
        return {"verdict": self.verdict, "claim": self.claim, **found}


def verify(
    unlearned: Classifier,
    data: Dataset,
    partition: Partition,
    sought: Sought,
    context: Context,
    *,
    original: Classifier | None,
    references: Mapping[int, Classifier],
    depth: Depth,
    seed: int,
    original_digest: str | None = None,
    guard: Guard | None = None,
) -> VerificationReport:
    """Verify `unlearned`, as served behind its guard; no model is touched.

    `original` is None once it is purged, and `original_digest` then its `weights_digest`, if that was kept.
    `references` are models retrained without the forget set, by seed; there may be none. Same models, seed, threads,
    torch and kind of CPU: same report. To keep what the original and the references were seen to do, use `draw_sets`,
    `observe_original`, `observe` and `judge`. Raises NotApplicable where a set is empty, and what ends the context.
    """
    sets = draw_sets(partition, depth, seed)
    before = None if original is None else observe_original(original, data, sets, context.part(0.0, 0.2))
    after = observe(unlearned, data, sets, context.part(0.2, 0.4), before, guard=guard)
    retrained = observe_all(references.values(), data, sets, context.part(0.4, 0.9), before)
    context.report(0.9, "judging", "criteria and control")
    report = judge(
        after,
        partition,
        sets,
        sought,
        context,
        original=before,
        references=dict(zip(references, retrained, strict=True)),
        original_digest=original_digest,
    )
    context.report(1.0, "judging", "done")
    return report


def judge(
    unlearned: Observation,
    partition: Partition,
    sets: Sets,
    sought: Sought,
    context: Context,
    *,
    original: Observation | None,
    references: Mapping[int, Observation],
    original_digest: str | None = None,
) -> VerificationReport:
    """The report, from what the models were seen to do on the same sets; runs none of them."""
    digest = original_digest if original is None else original.digest
    bench = Bench(unlearned, original, digest, references, sets, sought)
    control, criteria = run_control(bench, _criteria(bench), _criteria, context)
    if sets.depth == "deep":
        criteria.append(control.criterion())
    if sought.claim == "exact":
        criteria.append(_absence(sought, unlearned, partition))
    numbered = tuple(replace(criterion, number=number) for number, criterion in enumerate(criteria, 1))
    return VerificationReport(
        depth=sets.depth,
        seed=sets.seed,
        digest=unlearned.digest,
        forget_classes=sets.forget_classes,
        rows={name: len(getattr(sets, name)) for name in ("forget", "retain", "test_forget", "test_retain")},
        references=tuple(references),
        sought=sought.claim,
        criteria=numbered,
        shown=tuple(shown(bench) + (deep_shown(bench) if sets.depth == "deep" else [])),
        control=control,
        does_not_prove=does_not_prove(bench, criteria),
    )


def _criteria(bench: Bench) -> list[Criterion]:
    """Of any model, without numbers."""
    found = effect_criteria(bench)
    if not bench.references:
        return [*found, _no_reference()]
    drafts = comparison_drafts(bench)
    if bench.sets.depth == "deep":
        drafts += deep_drafts(bench)
    return found + [draft.comparison(0) for draft in drafts]


def _no_reference() -> Criterion:
    statement = "There is a retrained model to compare with."
    return Criterion(0, "reference", statement, "approximate", None, controlled=False)


def _absence(sought: Sought, unlearned: Observation, partition: Partition) -> Criterion:
    holds = sought.proof is not None and sought.proof.holds(unlearned.digest, partition)
    statement = "The rows that these very weights were fitted to are retained rows, every one."
    return Criterion(0, "absent", statement, "exact", holds, controlled=False)


def _as_lists(value: Any) -> Any:
    """Tuples as lists, at every depth."""
    if isinstance(value, dict):
        return {name: _as_lists(entry) for name, entry in value.items()}
    return [_as_lists(entry) for entry in value] if isinstance(value, list | tuple) else value
