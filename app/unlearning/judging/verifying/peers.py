"""What a result is held against: the original and retrained models, as networks, and as they were seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.unlearning.judging.verifying.kept import Shelf
from app.unlearning.judging.verifying.observations import Observation, Sets
from app.unlearning.learning.architectures import Classifier


@dataclass(frozen=True)
class Peers:
    """The networks that a result is held against."""

    original: Classifier | None
    """The version before; None once it is purged."""
    references: Mapping[int, Classifier]
    """Models retrained without the forget set, by seed; there may be none."""
    kept_digest: str | None = None
    """The `weights_digest` of the original, if that was kept; read where the original is purged."""
    shelf: Shelf | None = None
    """Where a fast verification finds, and keeps, what they were seen to do."""


@dataclass(frozen=True)
class SeenPeers:
    """What they were seen to do on the same sets as the result."""

    sets: Sets
    original: Observation | None
    struck: Observation | None
    """What `observe_struck` gives of the original: its rows of the classes to forget struck and nothing else changed;
    None where samples are forgotten, and where there is no original."""
    references: Mapping[int, Observation]
    kept_digest: str | None = None
    """The `kept_digest` of `Peers`."""

    @property
    def original_digest(self) -> str | None:
        """The `weights_digest` of the original, if it is known even though the original is purged; otherwise None."""
        return self.kept_digest if self.original is None else self.original.digest

    @property
    def untouched(self) -> Observation | None:
        """The model from which a result must differ: the original, for classes with their rows struck."""
        return self.struck or self.original
