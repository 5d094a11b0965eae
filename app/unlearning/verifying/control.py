"""The control: the same criteria must fail the original and pass retrained models, or they prove nothing of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.unlearning.context import Context
from app.unlearning.verifying.bench import Bench
from app.unlearning.verifying.claims import EVIDENCE
from app.unlearning.verifying.verdicts import Criterion, Measurement, Place, together

Key = tuple[str, str, Place]
"""Name of the criterion, name of the metric, place."""
_HALF = 0.5


@dataclass(frozen=True)
class Control:
    """What became of the models whose verdict is known beforehand."""

    original_fails: bool | None
    """None where there is no original, or nothing to judge it by."""
    retrained_pass: dict[str, bool | None]
    """By seed, each judged by the others; empty of fewer than two."""
    failed_by_original: tuple[str, ...]
    """Names of the criteria that decided."""
    failed_by_retrained: dict[str, tuple[str, ...]]
    """By seed."""

    @property
    def retrained_passes(self) -> bool | None:
        """Whether half of them or more do; None of none. With 20 figures each, one of many may miss by chance."""
        known = [outcome for outcome in self.retrained_pass.values() if outcome is not None]
        return sum(known) >= _HALF * len(known) if known else None

    @property
    def complete(self) -> bool:
        """Whether both were tried."""
        return self.original_fails is not None and self.retrained_passes is not None

    @property
    def has_power(self) -> bool:
        """Whether both ended as they must."""
        return self.original_fails is True and self.retrained_passes is True

    def criterion(self) -> Criterion:
        """That the control worked, as part of what a comparison needs; "no power" is no failure of the model."""
        statement = "Judged by the same criteria, the original fails and retrained models pass."
        return Criterion(0, "control", statement, "approximate", True if self.has_power else None, controlled=False)


def run_control(
    bench: Bench, criteria: Sequence[Criterion], judge: Callable[[Bench], list[Criterion]], context: Context
) -> tuple[Control, list[Criterion]]:
    """Judge the original, and each retrained model by the others, as `criteria` judged the candidate of `bench`.

    Gives those criteria back with "power" beside each figure.
    """
    original = None if bench.original is None else judge(replace(bench, candidate=bench.original))
    retrained: dict[int, list[Criterion]] = {}
    if len(bench.references) > 1:
        for seed, model in bench.references.items():
            context.check()
            others = {key: other for key, other in bench.references.items() if key != seed}
            retrained[seed] = judge(replace(bench, candidate=model, references=others))
    outcome = None if original is None else together(found.passed for found in _decisive(original, bench))
    control = Control(
        original_fails=None if outcome is None else not outcome,
        retrained_pass={str(seed): _passes(_decisive(found, bench)) for seed, found in retrained.items()},
        failed_by_original=_failed(_decisive(original or [], bench)),
        failed_by_retrained={str(seed): _failed(_decisive(found, bench)) for seed, found in retrained.items()},
    )
    powers = _powers(criteria, original, list(retrained.values()))
    return control, [_with_power(criterion, powers) for criterion in criteria]


def _with_power(criterion: Criterion, powers: dict[Key, bool | None]) -> Criterion:
    measurements = tuple(replace(found, power=powers.get(_key(criterion, found))) for found in criterion.measurements)
    return replace(criterion, measurements=measurements)


def _decisive(criteria: Sequence[Criterion], bench: Bench) -> list[Criterion]:
    """Those that compare, where the claim rests on a comparison, else all that the claim rests on."""
    levels = EVIDENCE[bench.sought.claim]
    if "approximate" in levels or (bench.sought.claim == "exact" and bench.references):
        levels = ("approximate",)
    return [found for found in criteria if found.controlled and found.needed_for in levels]


def _passes(criteria: Sequence[Criterion]) -> bool | None:
    """What could not be judged by the few others is left out."""
    return together(found.passed for found in criteria if found.passed is not None)


def _failed(criteria: Sequence[Criterion]) -> tuple[str, ...]:
    return tuple(found.name for found in criteria if found.passed is False)


def _powers(
    criteria: Sequence[Criterion], original: list[Criterion] | None, retrained: list[list[Criterion]]
) -> dict[Key, bool | None]:
    before = _outcomes(original or [])
    theirs = [_outcomes(found) for found in retrained]
    keys = [
        _key(criterion, found) for criterion in criteria if criterion.controlled for found in criterion.measurements
    ]
    return {key: _power(before.get(key), [found.get(key) for found in theirs]) for key in keys}


def _power(original: bool | None, retrained: list[bool | None]) -> bool | None:  # noqa: FBT001  outcomes, not switches
    known = [outcome for outcome in retrained if outcome is not None]
    if original is None or not known:
        return False if original else None
    return not original and sum(known) >= _HALF * len(known)


def _outcomes(criteria: Sequence[Criterion]) -> dict[Key, bool | None]:
    return {_key(criterion, found): found.passed for criterion in criteria for found in criterion.measurements}


def _key(criterion: Criterion, found: Measurement) -> Key:
    return criterion.name, found.metric, found.place
