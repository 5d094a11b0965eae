"""One model beside the ones that it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from app.unlearning.measuring.intervals import Estimate
from app.unlearning.verifying.claims import Sought
from app.unlearning.verifying.figures import point
from app.unlearning.verifying.observations import Observation, Sets
from app.unlearning.verifying.verdicts import Measurement, Place, Side, beside_retrained, measured


@dataclass(frozen=True)
class Bench:
    """One model to be judged, and the ones to judge it by."""

    candidate: Observation
    original: Observation | None
    original_digest: str | None
    """Known also where the original is gone; None where not even that is."""
    references: Mapping[int, Observation]
    """Retrained models by seed; may be empty."""
    sets: Sets
    sought: Sought
    figures: dict[tuple[int, ...], dict[tuple[str, Place], Estimate | float]] = field(default_factory=dict, repr=False)
    """Those computed before, by the `id` of their observations: the control asks for the same ones many times."""

    def beside(
        self,
        metric: str,
        place: Place,
        figure: Callable[[Observation], Estimate | float],
        side: Side | None,
    ) -> Measurement:
        """A figure of each model by itself; without a side it is shown only."""

        def one(seen: Observation) -> Estimate | float:
            return self._figure(metric, place, lambda: figure(seen), seen)

        value = one(self.candidate)
        original = None if self.original is None else point(one(self.original))
        retrained = {seed: point(one(reference)) for seed, reference in self.references.items()}
        if side is None:
            return measured(metric, place, value, original=original, retrained=retrained)
        return beside_retrained(metric, place, value, original=original, retrained=retrained, side=side)

    def between(
        self, metric: str, place: Place, distance: Callable[[Observation, Observation], float], side: Side | None
    ) -> Measurement:
        """A figure of two models, averaged over the retrained ones; of each of those, over the others."""

        def two(first: Observation, second: Observation) -> float:
            return point(self._figure(metric, place, lambda: distance(first, second), first, second))

        value, original = self._mean_distance(self.candidate, two), None
        if self.original is not None:
            original = self._mean_distance(self.original, two)
        among = self._among_references(two)
        if side is None:
            return measured(metric, place, value, original=original, retrained=among)
        return beside_retrained(metric, place, value, original=original, retrained=among, side=side)

    def _figure(
        self, metric: str, place: Place, compute: Callable[[], Estimate | float], *seen: Observation
    ) -> Estimate | float:
        """Figures of two models are the same either way round."""
        known = self.figures.setdefault(tuple(sorted(id(model) for model in seen)), {})
        if (metric, place) not in known:
            known[metric, place] = compute()
        return known[metric, place]

    def _mean_distance(self, model: Observation, distance: Callable[[Observation, Observation], float]) -> float:
        return fmean(distance(model, reference) for reference in self.references.values())

    def _among_references(self, distance: Callable[[Observation, Observation], float]) -> dict[int, float]:
        if len(self.references) < 2:  # noqa: PLR2004  one has no other
            return {}
        return {
            seed: fmean(distance(model, other) for key, other in self.references.items() if key != seed)
            for seed, model in self.references.items()
        }
