"""Recurrent bodies: an image is read row by row from the top, and the last state is its features."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class RowReader(nn.Module):
    """Recurrent layers, one after the other, over the rows of an image."""

    def __init__(self, layers: list[nn.RNNBase]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, images: Tensor) -> Tensor:
        """Features, float32 [N, hidden], of images, float32 [N, C, H, W]."""
        states = images.permute(0, 2, 1, 3).flatten(2)  # [N, H, C * W], a sequence of H rows
        for layer in self.layers:
            states, _ = layer(states)  # [N, H, hidden]
        return states[:, -1]


def recurrent_body(
    kind: type[nn.GRU | nn.LSTM], hidden: tuple[int, ...], input_shape: tuple[int, int, int]
) -> tuple[nn.Module, int]:
    """Layers of these widths for images of `input_shape` (channels, height, width), and the number of features."""
    channels, _, width = input_shape
    widths = (channels * width, *hidden)
    return RowReader([kind(fan_in, fan_out, batch_first=True) for fan_in, fan_out in pairwise(widths)]), widths[-1]
