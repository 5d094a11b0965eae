from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from app.specs.learning import Sisa
from app.unlearning.learning.sisa.placement import Placement

LEARNINGS = st.builds(Sisa, st.integers(1, 6), st.integers(1, 5))


@given(LEARNINGS, st.integers(30, 200), st.integers(0, 1000))
def test_every_row_has_one_place_and_all_places_are_of_one_size(learning: Sisa, num_rows: int, seed: int) -> None:
    placement = Placement.of(num_rows, learning, seed)
    places = placement.shard * learning.slices + placement.slice
    counts = torch.bincount(places, minlength=learning.shards * learning.slices)
    assert int(counts.sum()) == num_rows
    assert int(counts.max() - counts.min()) <= 1
    every = torch.arange(num_rows)
    learned = [placement.rows(every, shard, learning.slices - 1) for shard in range(learning.shards)]
    assert torch.equal(torch.cat(learned).sort().values, every)


@given(LEARNINGS, st.integers(0, 1000), st.data())
def test_taking_rows_away_moves_no_other(learning: Sisa, seed: int, drawn: st.DataObject) -> None:
    placement = Placement.of(60, learning, seed)
    gone = torch.tensor(drawn.draw(st.lists(st.integers(0, 59), min_size=1, max_size=30, unique=True)))
    every = torch.arange(60)
    rest = every[~torch.isin(every, gone)]
    for shard in range(learning.shards):
        for number in range(learning.slices):
            before = placement.rows(every, shard, number)
            assert torch.equal(placement.rows(rest, shard, number), before[~torch.isin(before, gone)])


@given(LEARNINGS, st.lists(st.integers(0, 59), min_size=1, max_size=20, unique=True))
def test_hit_shards_are_those_that_learned_a_row_and_no_slice_before_held_one(learning: Sisa, rows: list[int]) -> None:
    placement, gone = Placement.of(60, learning, 3), torch.tensor(rows)
    hits = placement.first_hits(gone)
    for shard in range(learning.shards):
        held = [len(placement.rows(gone, shard, number)) for number in range(learning.slices)]
        assert (shard in hits) == (held[-1] > 0)
        if shard in hits:
            assert held[hits[shard]] > 0
            assert not any(held[: hits[shard]])
