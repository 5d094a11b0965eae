"""Which training row belongs to which shard and slice: by its own id and a seed, whatever other rows there are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from app.specs.learning import Sisa


@dataclass(frozen=True)
class Placement:
    """The shard and the slice of every row of the training file.

    A row's place never depends on which rows are learned, so taking some away moves no other. Otherwise shards that are
    not hit would differ from the shards of a training without the forgotten rows.
    """

    sharding: Sisa
    shard: Tensor
    """int64 [N], by row of the training file, 0 to shards - 1."""
    slice: Tensor
    """int64 [N], by row of the training file, 0 to slices - 1."""

    @classmethod
    def of(cls, num_rows: int, sharding: Sisa, seed: int) -> Placement:
        """Rows in random order, dealt to the slices of all shards in turn, so that their sizes differ by one at most."""
        generator = torch.Generator().manual_seed(seed)
        turn = torch.empty(num_rows, dtype=torch.int64)
        turn[torch.randperm(num_rows, generator=generator)] = torch.arange(num_rows)  # [N], turn of each row
        return cls(sharding, turn % sharding.shards, turn // sharding.shards % sharding.slices)

    def rows(self, among: Tensor, shard: int, last_slice: int) -> Tensor:
        """The rows among `among` (int64) that this shard has learned after its slices 0 to `last_slice`."""
        return among[(self.shard[among] == shard) & (self.slice[among] <= last_slice)]

    def first_hits(self, rows: Tensor) -> dict[int, int]:
        """The shards that hold any of these rows (int64), ascending, each with the first of its slices that does."""
        hits = {}
        for shard in sorted(set(self.shard[rows].tolist())):
            hits[shard] = int(self.slice[rows[self.shard[rows] == shard]].min())
        return hits
