"""The control: a figure must fail the original and pass every retrained model, or it proves nothing of another model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.specs.claims import LEAST_REFERENCES
from app.unlearning.context import Context
from app.unlearning.judging.verifying.bench import Bench
from app.unlearning.judging.verifying.verdicts import Criterion, Measurement, Place, all_passed

PAIRED = {"nearer", "three-samples"}
"""Criteria that ask of each input whether it moved towards retrained models."""
CONDITIONS = {"accuracy", "agreement"}
"""Criteria that look at retained inputs."""
LEAST_TRIED = 2
"""Least retrained models that must have passed a figure; a figure about a single retrained model is tried on the
others."""

Key = tuple[str, str, Place]
"""Name of the criterion, name of the metric, place."""


@dataclass(frozen=True)
class Control:
    """What became of the models whose verdict is known beforehand, by the figures that compare with retrained models."""

    original_fails: bool | None
    """Whether the original fails at least one figure; None where there is no original, or nothing to judge it by."""
    retrained_pass: dict[str, bool | None]
    """For each reference, by seed: whether it passes all figures, judged by the others; empty for fewer than three
    references."""
    failed_by_original: tuple[str, ...]
    """Names of the criteria that the original fails by at least one figure."""
    failed_by_retrained: dict[str, tuple[str, ...]]
    """For each reference, by seed: the names of the criteria that it fails."""
    num_figures: int = 0
    """The number of figures that tell a result from the original, see `tells`."""
    num_with_power: int = 0
    """The number of these figures that fail the original and pass every retrained model."""

    @property
    def complete(self) -> bool:
        """Whether both kinds of models were tried."""
        return self.original_fails is not None and bool(self.retrained_pass)

    def criterion(self) -> Criterion:
        """The criterion that a figure has power, which a comparison needs; without one, the model has not failed."""
        statement = "A figure at least fails the original and passes every retrained model."
        held = True if self.num_with_power else None
        return Criterion(0, "control", statement, "approximate", held, controlled=False)


def run_control(
    bench: Bench, criteria: Sequence[Criterion], judge: Callable[[Bench], list[Criterion]], context: Context
) -> tuple[Control, list[Criterion]]:
    """Judge the original (with the rows of the forgotten classes struck), and each retrained model by the others.

    It gives the criteria of the candidate back with "power" beside each figure; criteria that compare with retrained
    models pass or fail by figures with power alone.
    """
    untouched = bench.peers.untouched
    original = [] if untouched is None else judge(replace(bench, candidate=untouched))
    retrained: dict[int, list[Criterion]] = {}
    if len(bench.peers.references) >= LEAST_REFERENCES:
        for seed, model in bench.peers.references.items():
            context.check()
            retrained[seed] = judge(replace(bench, candidate=model, held_out=seed))
    before, theirs = _outcomes(original), [_outcomes(found) for found in retrained.values()]
    judged = [_with_power(criterion, before, theirs) for criterion in criteria]
    figures = [found for criterion in judged if tells(criterion) for found in criterion.measurements]
    failed = _failed(original)
    control = Control(
        original_fails=bool(failed) if any(compares(found) for found in original) else None,
        retrained_pass={str(seed): not _failed(found) for seed, found in retrained.items()},
        failed_by_original=failed,
        failed_by_retrained={str(seed): _failed(found) for seed, found in retrained.items()},
        num_figures=len(figures),
        num_with_power=sum(found.power is True for found in figures),
    )
    return control, judged


def compares(criterion: Criterion) -> bool:
    """Whether the criterion compares the result with retrained models."""
    return criterion.controlled and criterion.needed_for == "approximate"


def tells(criterion: Criterion) -> bool:
    """Whether the criterion's figures can show that something was forgotten: retrained models set their limit.

    Other criteria cannot. The smallest step passes the paired tests, which ask for a direction and not for how far.
    Being as retrained models on retained inputs is a condition, which the original fulfils as well.
    """
    return compares(criterion) and criterion.name not in PAIRED | CONDITIONS


def telling_figures(criteria: Sequence[Criterion]) -> list[Measurement]:
    """The figures of a report that have power."""
    return [figure for found in criteria if tells(found) for figure in found.measurements if figure.power]


def _with_power(
    criterion: Criterion, before: dict[Key, bool | None], theirs: list[dict[Key, bool | None]]
) -> Criterion:
    if not criterion.controlled:
        return criterion
    found = tuple(
        replace(
            figure,
            power=_power(before.get(_key(criterion, figure)), [seen.get(_key(criterion, figure)) for seen in theirs]),
        )
        for figure in criterion.measurements
    )
    if not compares(criterion):
        return replace(criterion, measurements=found)
    if criterion.name in CONDITIONS:
        missed = any(seen.get(_key(criterion, figure)) is False for seen in theirs for figure in found)
        return replace(criterion, measurements=found, power=False if missed else None)
    telling = [figure for figure in found if figure.power]
    untried = any(figure.power is None for figure in found)
    power = True if telling else None if untried or not found else False
    return replace(criterion, measurements=found, power=power, passed=all_passed(telling or found))


def _power(original: bool | None, retrained: list[bool | None]) -> bool | None:  # noqa: FBT001  outcomes, not switches
    """The power of a figure: the original fails it, and no retrained model does; None where one could not be tried."""
    if original is True or False in retrained:
        return False
    tried = [outcome for outcome in retrained if outcome is not None]
    return None if original is None or len(tried) < LEAST_TRIED else True


def _failed(criteria: Sequence[Criterion]) -> tuple[str, ...]:
    """Names of the criteria by a figure of which a model failed."""
    return tuple(
        criterion.name
        for criterion in criteria
        if compares(criterion) and any(found.passed is False for found in criterion.measurements)
    )


def _outcomes(criteria: Sequence[Criterion]) -> dict[Key, bool | None]:
    return {_key(criterion, found): found.passed for criterion in criteria for found in criterion.measurements}


def _key(criterion: Criterion, found: Measurement) -> Key:
    return criterion.name, found.metric, found.place
