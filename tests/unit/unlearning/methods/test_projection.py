from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from app.specs.architectures import Architecture, Cnn, Mlp, Torchvision
from app.specs.methods.projection import ProjectionParameters
from app.unlearning.case import Case, Parent
from app.unlearning.data import images_as_float
from app.unlearning.learning.architectures import build
from app.unlearning.methods import METHODS
from app.unlearning.methods.projection import Spectrum, _patches, of_the_first_alone, spectra, take_out
from app.unlearning.methods.tuning import Judge
from app.unlearning.partition import Partition
from tests.oracles import looped_projection
from tests.unit.unlearning.blobs import blobs, fitted
from tests.unit.unlearning.methods.settings import CONTEXT

DATA = blobs(rows=80)


def test_a_layer_becomes_blind_to_what_is_taken_out_and_to_nothing_else() -> None:
    layer = nn.Linear(5, 3)
    basis = torch.linalg.qr(torch.randn(5, 5)).Q
    inside, outside = basis[:, :2], basis[:, 2:]
    before = layer.weight.detach().clone()
    take_out(layer, (inside @ inside.T).unsqueeze(0))
    torch.testing.assert_close(layer.weight @ inside, torch.zeros(3, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(layer.weight @ outside, before @ outside)


def test_retained_directions_are_spared() -> None:
    shares = torch.tensor([[0.0, 0.5, 0.5]])
    forget = Spectrum(torch.eye(3).unsqueeze(0), shares)
    retain = Spectrum(torch.eye(3).unsqueeze(0), torch.tensor([[0.5, 0.5, 0.0]]))
    directions = of_the_first_alone(forget.projection(1e6), retain.projection(1e6))
    torch.testing.assert_close(directions[0].diagonal(), torch.tensor([0.0, 0.0, 1.0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [1.0, 10.0, 1000.0])
def test_a_higher_scale_counts_lesser_directions_more(scale: float) -> None:
    spectrum = Spectrum(torch.eye(4).unsqueeze(0), torch.tensor([[0.7, 0.2, 0.1, 0.0]]))
    lower, higher = (spectrum.projection(value)[0].diagonal() for value in (scale, 2 * scale))
    assert bool((lower <= higher).all())
    assert bool((higher <= 1).all())
    assert float(higher[3]) == 0
    if scale == 1:
        torch.testing.assert_close(lower, spectrum.shares[0])


@pytest.mark.parametrize("groups", [1, 2])
def test_the_spectrum_is_that_of_what_the_weights_are_multiplied_with(groups: int) -> None:
    layer = nn.Conv2d(4, 6, kernel_size=3, padding=1, stride=2, groups=groups, bias=False)
    images = torch.rand(5, 4, 8, 8)
    columns = _patches(layer, images)  # [G, d, n]
    by_group = layer.weight.reshape(groups, 6 // groups, -1) @ columns
    expected = layer(images).permute(1, 0, 2, 3).reshape(groups, 6 // groups, -1)
    torch.testing.assert_close(by_group, expected)


@pytest.mark.parametrize(
    "architecture", [Mlp(hidden=(8,)), Cnn(channels=(4,), hidden=8), Torchvision("shufflenet_v2_x0_5")]
)
def test_every_linear_and_convolutional_layer_has_its_directions(architecture: Architecture) -> None:
    model = build(architecture, DATA.input_shape, 4, seed=0)
    found = spectra(model, DATA, DATA.train_rows[:4], CONTEXT)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    assert set(found) == set(layers)
    for name, module in layers.items():
        take_out(module, found[name].directions @ found[name].directions.transpose(1, 2))  # every direction there is
        assert float(module.get_parameter("weight").detach().abs().max()) < 1e-4


def test_the_weights_are_those_of_the_paper_where_the_two_projections_do_not_commute() -> None:
    data = blobs(rows=200)
    original, partition = fitted(data), Partition.of(data, [1])
    parameters = ProjectionParameters(retain_scale=30.0, forget_scale=3.0)
    computed = METHODS["projection"].compute(
        Case(Parent(deepcopy(original)), data, partition), parameters, CONTEXT, seed=3
    )
    retained = Judge(Case(Parent(original), data, partition), 0.01, CONTEXT, seed=3, reads_forget_set=True).rows
    for name, inputs in (("body.1", nn.Flatten()), ("head", original.body)):
        forget, retain = (
            inputs(images_as_float(data.train_images[rows])).detach() for rows in (partition.train.forget, retained)
        )
        assert not _commute(forget, retain)
        layer = original.get_submodule(name)
        expected = looped_projection(layer.get_parameter("weight").detach(), forget, retain, 3.0, 30.0)
        found = computed.model.get_submodule(name).get_parameter("weight").detach()
        torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-5)


def _commute(first: Tensor, second: Tensor) -> bool:
    one, other = (inputs.T @ inputs / inputs.square().sum() for inputs in (first, second))
    return torch.allclose(one @ other, other @ one, rtol=0, atol=1e-3)
