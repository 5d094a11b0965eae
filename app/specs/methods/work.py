"""What a request has to work on, as numbers of rows, and the unit of every cost: images, as training steps pass them."""

from __future__ import annotations

from dataclasses import dataclass

from app.specs.learning import Mode, Sisa

FORWARD = 1 / 3
"""What a forward pass costs, as a share of a training step: Kaplan et al. 2020 (arXiv:2001.08361), section 2.1, count
2 operations a weight against 6."""

MOST_JUDGED_ROWS = 500
"""Most rows of each set that a candidate setting is judged by: one standard error of an accuracy of 98 % is then 0.6
points."""
JUDGED = 2 * MOST_JUDGED_ROWS * FORWARD
"""Judging one candidate setting, by held-out and by forgotten rows."""

_WITHOUT_CONVOLUTIONS = {"mlp", "gru", "lstm"}


@dataclass(frozen=True)
class TrainedRows:
    """The training rows of each class, and what an image of them cost in the last training."""

    by_class: list[int]
    seconds_per_image: float
    architecture: str
    mode: Mode
    passes: float
    """How often that training saw each of its rows."""
    sharding: Sisa | None = None
    """How a model learns in shards; None for other models."""

    def of(self, classes: set[int]) -> int:
        """How many training rows these classes have."""
        return sum(rows for number, rows in enumerate(self.by_class) if number in classes)

    @property
    def convolutional(self) -> bool:
        """Whether the network has convolutions."""
        return self.architecture not in _WITHOUT_CONVOLUTIONS


@dataclass(frozen=True)
class Work:
    """One target, as numbers of rows."""

    rows: TrainedRows
    num_forget: int
    num_retain: int
