"""The networks of all shards as one body, and what is kept of how they were learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from app.specs.training import Training

Checkpoints = Mapping[tuple[int, int], Mapping[str, Tensor]]
"""The state of a shard's network after it learned a slice, by shard and slice; shards without rows have none."""


@dataclass(frozen=True)
class Provenance:
    """What a sharded model was learned with: with the model itself, all that is needed to forget samples of it exactly."""

    training: Training
    """The recipe of the training; its seed decides the place of every row, too."""
    rows: Tensor
    """int64, ascending: every row of the training file that had a part in the model, and no other."""
    checkpoints: Checkpoints

    def __deepcopy__(self, memo: dict[int, Any]) -> Provenance:
        """Itself: none of it is ever changed in place, and checkpoints are many times as large as the model."""
        return self


class ShardBodies(nn.Module):
    """Features of several bodies beside each other: float32 [N, D1 + D2 + …]."""

    def __init__(self, bodies: list[nn.Module]) -> None:
        super().__init__()
        self.shards = nn.ModuleList(bodies)

    def forward(self, images: Tensor) -> Tensor:
        """Features of images, float32 [N, C, H, W]."""
        return torch.cat([body(images) for body in self.shards], dim=1)
