"""What learning in shards and slices costs, and what forgetting is expected to cost. It needs no torch."""

from __future__ import annotations

from app.specs.learning import Sisa


def epochs_of_slices(epochs: int, slices: int) -> list[int]:
    """Epochs after each slice is added, at least 1: passed images are those of `epochs` over the whole shard.

    Each slice gets 2 epochs / (slices + 1) (Bourtoule et al. 2021, section VII); the remainder goes to the last slices,
    which have most rows. Fewer epochs than (slices + 1) / 2 become more: every slice is learned once at least.
    """
    each, more = divmod(2 * epochs, slices + 1)
    return [max(1, each + (slices - place <= more)) for place in range(slices)]


def expected_share(learning: Sisa, epochs: int, num_samples: int) -> float:
    """Images passed to forget this number of random samples, as a share of the images of training anew; 0..1.

    A shard passes slice j again if any sample lies in its slices 0 to j, which one sample does with the probability
    (j + 1) / (shards slices).
    """
    places = learning.shards * learning.slices
    images = [count * (number + 1) for number, count in enumerate(epochs_of_slices(epochs, learning.slices))]
    again = (passed * (1 - (1 - (number + 1) / places) ** num_samples) for number, passed in enumerate(images))
    return sum(again) / sum(images)
