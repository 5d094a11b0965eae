from __future__ import annotations

import random
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.specs.learning import Sisa
from app.specs.sharding import epochs_of_slices, expected_share


@given(st.integers(1, 200), st.integers(1, 20))
def test_slices_share_out_about_the_epochs_of_the_whole(epochs: int, slices: int) -> None:
    each = epochs_of_slices(epochs, slices)
    assert len(each) == slices
    assert min(each) >= 1
    assert max(each) - min(each) <= 1
    passed = sum(count * (place + 1) / slices for place, count in enumerate(each))
    assert passed >= epochs * 0.99
    assert passed <= max(epochs * 1.5, slices)


def drawn_share(learning: Sisa, epochs: int, num_samples: int) -> float:
    """Share of the images passed again for samples drawn once, place by place."""
    each = epochs_of_slices(epochs, learning.slices)
    first: dict[int, int] = {}
    for _ in range(num_samples):
        shard, number = random.randrange(learning.shards), random.randrange(learning.slices)
        first[shard] = min(number, first.get(shard, number))
    passed = [count * (number + 1) for number, count in enumerate(each)]
    return sum(sum(passed[number:]) for number in first.values()) / (learning.shards * sum(passed))


@pytest.mark.parametrize(("shards", "slices", "samples"), [(5, 3, 1), (5, 3, 10), (2, 4, 3), (1, 1, 1)])
def test_the_expected_share_is_the_mean_of_many_draws(shards: int, slices: int, samples: int) -> None:
    random.seed(1)
    learning = Sisa(shards=shards, slices=slices)
    drawn = mean(drawn_share(learning, 5, samples) for _ in range(4000))
    assert expected_share(learning, 5, samples) == pytest.approx(drawn, abs=0.02)


@given(st.integers(1, 50), st.integers(1, 20), st.integers(1, 100), st.integers(1, 1000))
def test_more_samples_cost_more_and_never_more_than_training_anew(
    shards: int, slices: int, epochs: int, samples: int
) -> None:
    learning = Sisa(shards=shards, slices=slices)
    fewer, more = (expected_share(learning, epochs, count) for count in (samples, samples + 1))
    assert 0 < fewer <= more <= 1
