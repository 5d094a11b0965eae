from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional

from app.specs.architectures import Architecture, Gru, Lstm
from app.specs.methods.edit import Scope, Strategy
from app.specs.refusing import Refusal
from app.specs.training import Training
from app.unlearning.case import Parent
from app.unlearning.context import Context
from app.unlearning.data import in_batches
from app.unlearning.forgetting import forget
from app.unlearning.judging.measurements import answers
from app.unlearning.learning.architectures import build
from app.unlearning.learning.recurrent import RowReader, gate_gradients, per_sample_gradient
from app.unlearning.learning.training import fit
from app.unlearning.partition import Partition
from app.unlearning.refusing.refusal import fit_refusal
from tests.unit.unlearning.blobs import blobs, edit_of, everything, fitted, same_bits

DATA = blobs()
ARCHITECTURES: list[Architecture] = [Gru(hidden=(20,)), Lstm(hidden=(20, 12))]
TRAINED = {architecture.type: fitted(DATA, architecture, epochs=8) for architecture in ARCHITECTURES}
PARTITION = Partition.of(DATA, [1])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_features_are_the_state_after_the_last_row(architecture: Architecture) -> None:
    model = build(architecture, (3, 9, 7), 4, seed=0)
    images = torch.rand(5, 3, 9, 7)
    assert isinstance(model.body, RowReader)
    states = torch.stack([images[:, :, row].flatten(1) for row in range(9)])
    for layer in model.body.layers:
        states, final = layer(states)
    last = final if isinstance(final, torch.Tensor) else final[0]
    with torch.inference_mode():
        torch.testing.assert_close(model.body(images), last[0])
        assert model(images).shape == (5, 4)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_the_gates_gradients_make_up_those_of_both_weights(kind: type[nn.GRU | nn.LSTM]) -> None:
    torch.manual_seed(0)
    layer, inputs, gradient = kind(4, 3), torch.randn(6, 5, 4), torch.randn(6, 5, 3)
    states, _ = layer(inputs)
    weights = [layer.get_parameter(name) for name in ("weight_ih_l0", "weight_hh_l0")]
    whole = torch.autograd.grad(states, weights, gradient)
    at_input, at_state, before = gate_gradients(layer, inputs, gradient)
    torch.testing.assert_close(per_sample_gradient(at_input, inputs).sum(dim=0), whole[0])
    torch.testing.assert_close(per_sample_gradient(at_state, before).sum(dim=0), whole[1])
    torch.testing.assert_close(before[1:], states[:-1])
    assert bool((before[0] == 0).all())
    assert all(parameter.grad is None for parameter in layer.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_recurrent_network_learns_and_the_same_seed_gives_the_same_bits(architecture: Architecture) -> None:
    models = []
    for seed in (3, 3, 4):
        torch.rand(seed)  # the global generator stands elsewhere each time
        models.append(build(architecture, DATA.input_shape, 4, seed=0))
        fit(models[-1], DATA, DATA.train_rows, Training(epochs=1, batch_size=32, seed=seed), Context())
    assert same_bits(models[0], models[1])
    assert not same_bits(models[0], models[2])
    found = answers(TRAINED[architecture.type], DATA.test_images, DATA.test_labels, torch.arange(len(DATA.test_labels)))
    accuracy = found.accuracy()
    assert accuracy is not None
    assert accuracy > 0.95


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_and_serving_give_the_same_bits_and_batches_move_them_less_than_the_clearance(
    architecture: Architecture,
) -> None:
    model = TRAINED[architecture.type]
    images = DATA.test_images[:60].float() / 255
    trained = model.train()(images).detach()
    with torch.inference_mode():
        served = model.eval()(images)
        parts = {size: torch.cat([model(part) for part in in_batches(images, size)]) for size in (1, 2, 7, 32)}
    assert torch.equal(trained, served)
    for logits in parts.values():
        torch.testing.assert_close(logits, served, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("refusal", get_args(Refusal))
@pytest.mark.parametrize("scope", get_args(Scope))
@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_every_combination_forgets(
    strategy: Strategy, scope: Scope, refusal: Refusal, architecture: Architecture
) -> None:
    edit = edit_of(1, strategy=strategy, scope=scope, refusal=refusal, share=0.005)
    result = forget(Parent(TRAINED[architecture.type]), DATA, edit, Context())
    assert [criterion.name for criterion in result.report.gate if not criterion.passed] == []
    assert result.report.after.forget_accuracy == 0
    hidden = {name for name in result.report.weights_changed if "_l0" in name and result.report.weights_changed[name]}
    assert bool(hidden) == (scope == "network" or refusal == "push")
    assert not {name for name in hidden if "bias" in name} or refusal == "push"
    if refusal == "push":
        assert result.report.after.refusal_rate is not None
        assert result.report.after.refusal_rate > 0.95


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_seed_forgets_in_the_same_bits(architecture: Architecture) -> None:
    original = TRAINED[architecture.type]
    before = everything(original)
    models = [forget(Parent(original), DATA, edit_of(1, seed=seed), Context()).model for seed in (1, 1, 2)]
    assert same_bits(models[0], models[1])
    assert not same_bits(models[0], models[2])
    assert all(torch.equal(tensor, before[name]) for name, tensor in original.state_dict().items())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_calibrating_touches_no_weight(architecture: Architecture) -> None:
    model = build(architecture, DATA.input_shape, 4, seed=0)
    model.load_state_dict(TRAINED[architecture.type].state_dict())
    model.mark_forgotten([1])
    before = everything(model)
    fit_refusal(model, DATA, PARTITION, edit_of(1, refusal="calibrate").refusing, Context())
    assert [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])] == [
        "null_bias"
    ]


def test_gates_stand_in_the_order_that_torch_documents() -> None:
    """Reset, update, new in a GRU; input, forget, cell, output in an LSTM: growing networks cut the rows by it."""
    torch.manual_seed(0)
    row, start = torch.randn(1, 2, 4), torch.randn(1, 2, 3)
    gru, lstm = nn.GRU(4, 3), nn.LSTM(4, 3)
    weight = gru.get_parameter
    from_row = functional.linear(row, weight("weight_ih_l0"), weight("bias_ih_l0")).chunk(3, dim=-1)
    from_state = functional.linear(start, weight("weight_hh_l0"), weight("bias_hh_l0")).chunk(3, dim=-1)
    reset, update = (torch.sigmoid(from_row[gate] + from_state[gate]) for gate in (0, 1))
    new = torch.tanh(from_row[2] + reset * from_state[2])
    torch.testing.assert_close(gru(row, start)[0], (1 - update) * new + update * start)
    cell = torch.randn(1, 2, 3)
    weight = lstm.get_parameter
    gates = functional.linear(row, weight("weight_ih_l0"), weight("bias_ih_l0"))
    gates = gates + functional.linear(start, weight("weight_hh_l0"), weight("bias_hh_l0"))
    entered, kept, candidate, output = gates.chunk(4, dim=-1)
    new_cell = torch.sigmoid(kept) * cell + torch.sigmoid(entered) * torch.tanh(candidate)
    torch.testing.assert_close(lstm(row, (start, cell))[0], torch.sigmoid(output) * torch.tanh(new_cell))
