"""What the methods that take optimisation steps share: how many steps they settle by, and what steps cost."""

from __future__ import annotations

from typing import Annotated, Protocol

from annotated_types import Ge, Le

from app.specs.methods.work import JUDGED

Steps = Annotated[int, Ge(1), Le(100_000)]

STEPS_BETWEEN_CHECKS = 20
"""Steps between two checks whether to stop; a check costs as much as two steps."""

SETTLING_STEPS = 60
"""Steps on the retain set alone in which the rate falls to 0: a stop at full rate leaves the noise of single batches."""

SETTLING_STEPS_AFTER_WRONG_ANSWERS = 400
"""Settling steps of methods that teach wrong answers on the forget set: these spill over to the retain set, and 60
steps do not undo it. MNIST, fully connected, two seeds, digits 2 and 5, retained calibration rows: salun kept .956 to
.961 with 60 steps, .967 to .971 with 200, .972 to .976 with 400, of .977 to .982 before; bad teaching .958 to .964,
.966 to .973, .974 to .977."""

_BOTH_SETS = 1.5  # half as many forgotten images as retained ones


class _Stepping(Protocol):
    @property
    def steps(self) -> int: ...

    @property
    def batch_size(self) -> int: ...


def images_of_both_sets(parameters: _Stepping, settling_steps: int) -> float:
    """Images of steps on retained and, half as many, forgotten images, judged now and then, and of steps to settle."""
    judgements = parameters.steps / STEPS_BETWEEN_CHECKS * JUDGED
    return parameters.steps * parameters.batch_size * _BOTH_SETS + judgements + settling_steps * parameters.batch_size
