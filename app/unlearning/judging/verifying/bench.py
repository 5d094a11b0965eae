"""One model beside the ones that it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from torch import Tensor

from app.unlearning.judging.measuring.closeness import jensen_shannon
from app.unlearning.judging.measuring.intervals import Estimate, error_of_share
from app.unlearning.judging.verifying.claims import Sought
from app.unlearning.judging.verifying.figures import point
from app.unlearning.judging.verifying.observations import Observation
from app.unlearning.judging.verifying.peers import SeenPeers
from app.unlearning.judging.verifying.verdicts import Measurement, PeerFigures, Place, Side, beside_retrained, measured


@dataclass(frozen=True)
class Bench:
    """One model to be judged, and the ones to judge it by."""

    candidate: Observation
    sought: Sought
    peers: SeenPeers
    held_out: int | None = None
    """The seed of the candidate if it is one of the references, as in the control; otherwise None."""
    figures: dict[tuple[int, ...], dict[tuple[str, Place], Estimate | float]] = field(default_factory=dict, repr=False)
    """Figures computed before, by the `id` of their observations: the control asks for the same figures many times."""
    divergences: dict[frozenset[int], Tensor] = field(default_factory=dict, repr=False)
    """Divergences computed before, by the `id` of their observations."""

    @property
    def others(self) -> Mapping[int, Observation]:
        """The retrained models that the candidate is held against."""
        return {seed: seen for seed, seen in self.peers.references.items() if seed != self.held_out}

    def peer_figures(
        self, figure: Callable[[Observation], float | None], retrained: Mapping[int, float]
    ) -> PeerFigures:
        """A figure of the original, as it is and struck, and those of the retrained models."""
        original, struck = (None if seen is None else figure(seen) for seen in (self.peers.original, self.peers.struck))
        return PeerFigures(original, struck, retrained, self.held_out)

    def beside(
        self,
        metric: str,
        place: Place,
        figure: Callable[[Observation], Estimate | float],
        side: Side | None,
    ) -> Measurement:
        """A figure of each model by itself; without a side it is shown only."""

        def one(seen: Observation) -> Estimate | float:
            return self.once(metric, place, lambda: figure(seen), seen)

        value = one(self.candidate)
        retrained = {seed: point(one(reference)) for seed, reference in self.peers.references.items()}
        theirs = self.peer_figures(lambda seen: point(one(seen)), retrained)
        if side is None:
            return measured(metric, place, value, theirs)
        return beside_retrained(metric, place, value, theirs, side)

    def between(
        self,
        metric: str,
        place: Place,
        distance: Callable[[Observation, Observation], float],
        side: Side | None,
        num_inputs: int | None = None,
    ) -> Measurement:
        """A figure of two models, averaged over the retrained ones; that of a retrained model, over the others.

        Among n retrained models, one that is farther from every other raises the figure of each of them, so that their
        figures differ by (n - 2) / (n - 1) of what the models do. If the figure is a share, `num_inputs` says of how
        many inputs.
        """

        def two(first: Observation, second: Observation) -> float:
            # The same either way round.
            return point(self.once(metric, place, lambda: distance(first, second), *sorted((first, second), key=id)))

        def to_others(seen: Observation) -> float:
            return fmean(two(seen, reference) for reference in self.others.values())

        value, count = to_others(self.candidate), len(self.peers.references)
        theirs = self.peer_figures(to_others, self._among_references(two))
        if side is None:
            return measured(metric, place, value, theirs)
        return beside_retrained(
            metric,
            place,
            value,
            theirs,
            side,
            standard_error=0.0 if num_inputs is None else error_of_share(value, num_inputs),
            coupling=(count - 2) / (count - 1) if count > 1 else 1.0,
        )

    def divergence(self, first: Observation, second: Observation) -> Tensor:
        """Jensen-Shannon divergence of two models on each forgotten input, float64 [N]; it is symmetric."""
        pair = frozenset((id(first), id(second)))
        if pair not in self.divergences:
            self.divergences[pair] = jensen_shannon(first.forget.probabilities, second.forget.probabilities)
        return self.divergences[pair]

    def once(
        self, metric: str, place: Place, compute: Callable[[], Estimate | float], *seen: Observation
    ) -> Estimate | float:
        """A figure of these models, in this order, computed at the first call and then remembered."""
        known = self.figures.setdefault(tuple(id(model) for model in seen), {})
        if (metric, place) not in known:
            known[metric, place] = compute()
        return known[metric, place]

    def _among_references(self, distance: Callable[[Observation, Observation], float]) -> dict[int, float]:
        if len(self.peers.references) < 2:  # noqa: PLR2004  one has no other
            return {}
        return {
            seed: fmean(distance(model, other) for key, other in self.peers.references.items() if key != seed)
            for seed, model in self.peers.references.items()
        }
