"""Several methods on one target, beside the original and retrained models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from app.errors import ForgetteryError, NotApplicable
from app.specs.claims import Claim
from app.specs.methods.retrain import RetrainParameters
from app.specs.reports import Measurements
from app.specs.request import ForgetSpec
from app.specs.training import Training
from app.unlearning.case import Case, Parent, partition_of
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.forgetting import Unlearned, forget
from app.unlearning.judging.measurements import measure
from app.unlearning.judging.verifying.deep_verification import Verdict, judge
from app.unlearning.judging.verifying.figures import attack, margin, point, probe_recall
from app.unlearning.judging.verifying.observations import (
    Observation,
    Sets,
    draw_sets,
    observe,
    observe_all,
    observe_original,
    observe_struck,
)
from app.unlearning.judging.verifying.outcome import conclude
from app.unlearning.judging.verifying.peers import SeenPeers
from app.unlearning.learning.architectures import Classifier
from app.unlearning.methods import METHODS
from app.unlearning.stopwatch import Spent


@dataclass(frozen=True)
class Figures:
    """How one model fares; shares are in 0..1, None where there is nothing to count."""

    forget_accuracy: float | None
    forget_accuracy_before_refusal: float | None
    """Share of the forget training set that a method by itself, before any row is struck, still gives its true class."""
    retain_accuracy: float | None
    test_accuracy: float | None
    refusal_rate: float | None
    false_refusal_rate: float | None
    probe_gap: float | None
    """Recall of a linear probe on test inputs of the forgotten classes, less that of retrained models; -1..1."""
    mia_gap: float
    """Area under the curve of a membership attack on the forget set, less that of retrained models; -1..1."""
    seconds: float | None
    """Wall seconds of making it; for retrained models the mean, for the original None."""
    cpu_seconds: float | None
    """CPU seconds as in `stopwatch.Spent`; None if they are not known, and for retrained models without them."""
    ratio_to_retraining: float | None
    """CPU seconds, divided by those of one retraining; None where either is not known."""


@dataclass(frozen=True)
class Row:
    """What came of one method: its figures, or the error that ended it."""

    spec: ForgetSpec
    figures: Figures | None
    verdict: Verdict | None
    claim: Claim | None
    error: ForgetteryError | None


@dataclass(frozen=True)
class Comparison:
    """All methods in the order of asking, and the two that they are held against."""

    rows: list[Row]
    original: Figures
    retrained: Figures
    """The mean figures of the references; no refusal is fitted in them."""


@dataclass(frozen=True)
class Reference:
    """A model retrained without the forget set."""

    model: Classifier
    seconds: float
    """Wall seconds of training it."""
    cpu_seconds: float | None
    """CPU seconds as in `stopwatch.Spent`; None where they were not noted, or with another number of threads."""


def train_references(case: Case, training: Training, context: Context, *, seeds: Sequence[int]) -> dict[int, Reference]:
    """Models retrained by the recipe, once with each of these seeds."""
    found = {}
    for place, seed in enumerate(seeds):
        part = context.part(place / len(seeds), (place + 1) / len(seeds))
        part.report(0.0, "references", f"retraining {place + 1} of {len(seeds)}")
        parameters = RetrainParameters(training=training)
        result = METHODS["retrain"].run(case, parameters, part, seed=seed)
        found[seed] = Reference(result.model, result.spent.wall, result.spent.cpu)
    return found


def compare(
    parent: Parent,
    data: Dataset,
    specs: Sequence[ForgetSpec],
    context: Context,
    *,
    references: Mapping[int, Reference],
    seed: int,
) -> Comparison:
    """Carry out and verify each request, all of one target; if one fails, the others go on. No model is touched.

    `references` are given by seed, at least one. None may have the seed of a method, which would then meet itself.
    `seed` draws the rows that are looked at; `data` is what `forgetting.forget` takes. Same arguments, threads, torch
    and kind of CPU: same figures, seconds apart. Raises NotApplicable where a set is empty, and what ends the context.
    """
    partition = partition_of(parent.network, data, specs[0].target)
    bench = _Bench(parent, draw_sets(data, partition, "fast", seed), references, context.part(0.0, 0.1))
    rows = []
    for place, spec in enumerate(specs):
        part = context.part(0.1 + 0.9 * place / len(specs), 0.1 + 0.9 * (place + 1) / len(specs))
        part.report(0.0, spec.method, f"{place + 1} of {len(specs)}")
        try:
            rows.append(bench.row(spec, part))
        except ForgetteryError as error:
            rows.append(Row(spec, None, None, None, error))
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]  # torch names it in its documentation alone
            failed = NotApplicable(f"{spec.method} has no solution for the weights of this model: {error}")
            rows.append(Row(spec, None, None, None, failed))
    return Comparison(rows, bench.original_figures(), bench.retrained_figures())


class _Bench:
    """The models to hold others against, observed once."""

    def __init__(self, parent: Parent, sets: Sets, references: Mapping[int, Reference], context: Context) -> None:
        self._parent, self._sets, self._references = parent, sets, references
        self._before = observe_original(parent.network, sets, context.part(0.0, 0.5))
        self._retraining_seconds = fmean(each.seconds for each in references.values())
        self._retraining_cpu_seconds = _mean([each.cpu_seconds for each in references.values()])
        models = [each.model for each in references.values()]
        seen = observe_all(models, sets, context.part(0.5, 1.0), self._before)
        self._retrained: dict[int, Observation] = dict(zip(references, seen, strict=True))
        struck = observe_struck(parent.network, self._before, sets, context)
        self._peers = SeenPeers(sets, self._before, struck, self._retrained)
        self._device = context.device

    def row(self, spec: ForgetSpec, context: Context) -> Row:
        """Forget, and verify what came of it as a forget request would."""
        unlearned = forget(self._parent, self._sets.data, spec, context.part(0.0, 0.9))
        seen = observe(unlearned.model, self._sets, context.part(0.9, 1.0), self._before, guard=unlearned.guard)
        verification = judge(seen, unlearned.sought, self._peers, context)
        outcome = conclude(unlearned.report.gate, unlearned.sought, verification)
        claim = None if outcome.claim is None else outcome.claim.level
        return Row(spec, self._unlearned_figures(unlearned, seen), outcome.verdict, claim, None)

    def original_figures(self) -> Figures:
        """The figures of the model before anything was forgotten."""
        measured = self._measured(self._parent.network)
        return self._figures(measured, self._before, None)

    def retrained_figures(self) -> Figures:
        """The mean figures of the references; the gaps are 0 by definition."""
        models = [each.model for each in self._references.values()]
        measured = [self._measured(model) for model in models]
        probe_gap = 0.0 if self._sets.forget_classes else None
        return Figures(
            _mean([each.forget_accuracy for each in measured]),
            None,
            _mean([each.retain_accuracy for each in measured]),
            _mean([each.test_accuracy for each in measured]),
            _mean([each.refusal_rate for each in measured]),
            _mean([each.false_refusal_rate for each in measured]),
            probe_gap=probe_gap,
            mia_gap=0.0,
            seconds=self._retraining_seconds,
            cpu_seconds=self._retraining_cpu_seconds,
            ratio_to_retraining=self._ratio(self._retraining_cpu_seconds),
        )

    def _measured(self, model: Classifier) -> Measurements:
        return measure(model, self._sets.data, self._sets.partition, self._device)

    def _unlearned_figures(self, unlearned: Unlearned, seen: Observation) -> Figures:
        report = unlearned.report
        before_refusal = report.forget_accuracy_before_refusal
        spent = Spent(report.seconds["method"], report.cpu_seconds["method"])
        return self._figures(report.after, seen, spent, before_refusal=before_refusal)

    def _figures(
        self, measured: Measurements, seen: Observation, spent: Spent | None, *, before_refusal: float | None = None
    ) -> Figures:
        return Figures(
            measured.forget_accuracy,
            before_refusal,
            measured.retain_accuracy,
            measured.test_accuracy,
            measured.refusal_rate,
            measured.false_refusal_rate,
            probe_gap=self._probe_gap(seen),
            mia_gap=self._mia_gap(seen),
            seconds=spent.wall if spent else None,
            cpu_seconds=spent.cpu if spent else None,
            ratio_to_retraining=self._ratio(spent.cpu if spent else None),
        )

    def _ratio(self, cpu_seconds: float | None) -> float | None:
        if cpu_seconds is None or self._retraining_cpu_seconds is None:
            return None
        return cpu_seconds / self._retraining_cpu_seconds

    def _probe_gap(self, seen: Observation) -> float | None:
        """The mean gap over the probes of the fast set; None where samples are forgotten, which no probe is about."""
        gaps = [
            point(recall(seen)) - fmean(point(recall(other)) for other in self._retrained.values())
            for recall in map(probe_recall, seen.probes)
        ]
        return fmean(gaps) if gaps else None

    def _mia_gap(self, seen: Observation) -> float:
        area = attack(margin, about_classes=bool(self._sets.forget_classes))
        return point(area(seen)) - fmean(point(area(other)) for other in self._retrained.values())


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return fmean(found) if found else None
