"""What a metric asks of its inputs before it computes: something to count, finite numbers, sets of one size.

A figure of an empty set, or of numbers that overflowed, would be a default that looks like a measurement.
"""

from __future__ import annotations

from torch import Tensor

from app.errors import NotApplicable

_SUM_TOLERANCE = 1e-4  # float32 softmax over a thousand classes is within 1e-5


def require_rows(values: Tensor, what: str, least: int = 1) -> None:
    """Raise NotApplicable unless `values`, [N, …], has at least this number of rows, all of them finite."""
    if len(values) < least:
        raise NotApplicable(
            f"There are {len(values)} {what}, and this figure needs {least} or more; name a larger set."
        )
    if not values.isfinite().all():
        raise NotApplicable(f"The {what} hold values that are not finite, so nothing can be measured on them.")


def require_pairs(first: Tensor, second: Tensor, what: str) -> None:
    """Raise NotApplicable unless both, [N, …], are of the same inputs: N equal, at least 1, all finite."""
    require_rows(first, what)
    require_rows(second, what)
    if len(first) != len(second):
        raise NotApplicable(
            f"{len(first)} {what} cannot be compared with {len(second)}; measure both models on the same inputs."
        )


def require_probabilities(rows: Tensor) -> None:
    """Raise NotApplicable unless these are [N, C], N at least 1, of 0 or more, each row summing to 1."""
    require_rows(rows, "probabilities")
    sums = rows.double().sum(dim=-1)
    if bool((rows < 0).any()) or bool(((sums - 1).abs() > _SUM_TOLERANCE).any()):
        raise NotApplicable("Rows of probabilities must be 0 or more and sum to 1; apply softmax to logits first.")
