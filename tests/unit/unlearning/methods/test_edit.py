from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.specs.architectures import Cnn
from app.specs.methods.edit import EditSettings, Selection, Strategy
from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.methods.edit import compute, replace_output_rows, replacement
from app.unlearning.methods.importance import hidden_weights, measured_contrast
from app.unlearning.methods.weight_choice import top_share
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs, everything, fitted, same_bits

DATA = blobs()
PARTITION = Partition.of(DATA, [1])


def edited(model: Classifier, settings: EditSettings, seed: int = 0) -> dict[str, int]:
    """How many values were replaced, in place, by parameter name."""
    replaced: dict[str, int] = compute(Case(Parent(model), DATA, PARTITION), settings, Context(), seed=seed).told[
        "replaced"
    ]
    return replaced


def test_zeroed_rows_are_exactly_zero_and_nothing_else_changes() -> None:
    model = fitted(DATA)
    before = everything(model)
    replaced = edited(model, EditSettings(scope="output"))
    assert bool((model.head.weight[1] == 0).all())
    assert model.head.bias[1] == 0
    assert replaced == {"head.weight": 32, "head.bias": 1}
    kept = [0, 2, 3]
    for name, tensor in model.state_dict().items():
        rows = kept if name.startswith("head") or name == "forgotten" else ...
        assert torch.equal(tensor[rows], before[name][rows])


def test_random_rows_look_like_the_rows_they_replace() -> None:
    model = build(Cnn(hidden=4096), (1, 8, 8), 4, seed=0)
    before = everything(model)["head.weight"][1]
    replace_output_rows(model, (1,), "random", torch.Generator().manual_seed(0))
    after = model.head.weight[1]
    assert not bool((after == before).any())
    assert float(after.detach().mean()) == pytest.approx(float(before.mean()), abs=1e-3)
    assert float(after.detach().std()) == pytest.approx(float(before.std()), rel=0.1)
    assert model.head.bias[1] != 0


@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize("selection", get_args(Selection))
def test_the_top_share_of_every_hidden_layer_is_edited(strategy: Strategy, selection: Selection) -> None:
    model = fitted(DATA, Cnn(channels=(4, 8), hidden=16), epochs=1)
    settings = EditSettings(strategy=strategy, selection=selection, share=0.1)
    contrast = measured_contrast(model, DATA, PARTITION.train, selection, Context(), seed=0)
    ratios = {name: contrast.ratio(name) for name in hidden_weights(model)}
    before = everything(model)
    replaced = edited(model, settings)
    for name, weight in hidden_weights(model).items():
        changed = (weight != before[name]).flatten()
        assert int(changed.sum()) == replaced[name] == min(round(0.1 * len(changed)), int((ratios[name] > 0).sum()))
        assert ratios[name].flatten()[changed].min() >= ratios[name].flatten()[~changed].max()
        values, old = weight.flatten()[changed], before[name].flatten()[changed]
        if selection == "l2_shrink":
            torch.testing.assert_close(values, old * settings.shrink)
        elif strategy == "zero":
            assert bool((values == 0).all())


def test_the_same_seed_gives_the_same_edit() -> None:
    models = [fitted(DATA, epochs=1) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        edited(model, EditSettings(strategy="random"), seed)
    assert same_bits(models[0], models[1])
    assert not same_bits(models[0], models[2])


@given(st.lists(st.floats(0, 100, width=32), min_size=1, max_size=200), st.floats(0, 1))
def test_no_weight_outside_the_top_share_ranks_above_one_inside(values: list[float], share: float) -> None:
    ratio = torch.tensor(values)
    top = set(top_share(ratio, share).tolist())
    assert len(top) == min(round(share * len(values)), int((ratio > 0).sum()))
    outside = [value for position, value in enumerate(values) if position not in top]
    assert not top or not outside or min(values[position] for position in top) >= max(outside)


@given(st.lists(st.floats(-5, 5, width=32), max_size=50), st.sampled_from(get_args(Strategy)))
def test_a_replacement_has_the_length_of_what_it_replaces(values: list[float], strategy: Strategy) -> None:
    new = replacement(torch.tensor(values), strategy, torch.Generator().manual_seed(0))
    assert len(new) == len(values)
    assert bool(new.isfinite().all())
