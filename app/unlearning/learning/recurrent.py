"""Recurrent bodies: an image is read row by row from the top, and the last state is its features."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class RowReader(nn.Module):
    """Recurrent layers, one after the other, over the rows of an image."""

    def __init__(self, layers: list[nn.RNNBase]) -> None:
        """Each layer takes its sequence as [H, N, features]."""
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, images: Tensor) -> Tensor:
        """Features, float32 [N, hidden], of images, float32 [N, C, H, W]."""
        states = images.permute(2, 0, 1, 3).flatten(2)  # [H, N, C * W], a sequence of H rows
        for layer in self.layers:
            states, _ = layer(states)  # [H, N, hidden]
        return states[-1]  # [N, hidden]


def recurrent_body(
    kind: type[nn.GRU | nn.LSTM], hidden: tuple[int, ...], input_shape: tuple[int, int, int]
) -> tuple[nn.Module, int]:
    """Layers of these widths for images of `input_shape` (channels, height, width), and the number of features."""
    channels, _, width = input_shape
    widths = (channels * width, *hidden)
    return RowReader([kind(fan_in, fan_out) for fan_in, fan_out in pairwise(widths)]), widths[-1]


def per_sample_gradient(gates: Tensor, inputs: Tensor) -> Tensor:
    """What each sample adds to the gradient of a weight that is used once per row, float32 [N, G, I].

    It takes gradients at the gates, float32 [H, N, G], and what the weight was multiplied with, float32 [H, N, I].
    """
    return gates.permute(1, 2, 0) @ inputs.transpose(0, 1)  # [N, G, H] @ [N, H, I]


def gate_gradients(layer: nn.RNNBase, inputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients at the gates before their nonlinearities, float32 [H, N, G] each, and the states before each row.

    The first gradient is at what `weight_ih_l0` makes of the `inputs`, float32 [H, N, I], the second at what
    `weight_hh_l0` makes of the states, float32 [H, N, hidden]. `gradient`, float32 [H, N, hidden], is the gradient of
    the states by what comes after the layer alone; this function adds the way back through time.
    """
    weight, bias = layer.get_parameter("weight_ih_l0"), layer.get_parameter("bias_ih_l0")
    gates = functional.linear(inputs, weight, bias).detach().requires_grad_()
    with torch.enable_grad():
        states = _states(layer, gates)
        (at_input,) = torch.autograd.grad(states, gates, gradient)
    before = torch.cat([torch.zeros_like(states[:1]), states[:-1]]).detach()  # [H, N, hidden]
    return at_input, _at_state(layer, gates, before, at_input), before


def _states(layer: nn.RNNBase, gates: Tensor) -> Tensor:
    """The layer's states, float32 [H, N, hidden], when these are the inputs' shares of the gates.

    The input weights are replaced by the identity, so that torch's own recurrence tells the gradient at the gates.
    """
    identity, no_bias = torch.eye(gates.shape[-1], device=gates.device), gates.new_zeros(gates.shape[-1])
    of_states = [layer.get_parameter(name).detach() for name in ("weight_hh_l0", "bias_hh_l0")]
    parameters = [identity, of_states[0], no_bias, of_states[1]]
    start = gates.new_zeros(1, gates.shape[1], layer.hidden_size)
    if isinstance(layer, nn.GRU):
        return torch.gru(
            gates,
            start,
            parameters,
            has_biases=True,
            num_layers=1,
            dropout=0.0,
            train=True,
            bidirectional=False,
            batch_first=False,
        )[0]
    return torch.lstm(
        gates,
        (start, start),
        parameters,
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=True,
        bidirectional=False,
        batch_first=False,
    )[0]


@torch.no_grad()
def _at_state(layer: nn.RNNBase, gates: Tensor, before: Tensor, at_input: Tensor) -> Tensor:
    """The gradient at the states' shares of the gates, float32 [H, N, G].

    In a GRU the reset gate multiplies the share of the new state.
    """
    if not isinstance(layer, nn.GRU):
        return at_input  # the gates are the sum of both shares
    width = layer.hidden_size
    weight, bias = layer.get_parameter("weight_hh_l0"), layer.get_parameter("bias_hh_l0")
    reset = torch.sigmoid(gates[..., :width] + functional.linear(before, weight[:width], bias[:width]))
    return torch.cat([at_input[..., : 2 * width], at_input[..., 2 * width :] * reset], dim=-1)
