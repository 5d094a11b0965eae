from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from app.errors import NotApplicable
from app.specs.architectures import Architecture, Cnn, Mlp, Torchvision
from app.specs.learning import Sisa
from app.specs.training import Training
from app.unlearning.case import Case, Parent
from app.unlearning.context import Cancelled, Context
from app.unlearning.data import images_as_float
from app.unlearning.judging.measurements import answers, measure, weights_changed
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.sisa.learning import Recipe, forget_samples, recipe_of, train_sharded
from app.unlearning.learning.sisa.placement import Placement
from app.unlearning.learning.sisa.shards import Provenance
from app.unlearning.partition import Partition
from app.unlearning.sample_partition import of_samples
from tests.unit.unlearning.blobs import blobs, same_bits
from tests.unit.unlearning.methods.settings import poisoned

DATA = blobs(rows=400)
CONTEXT = Context()
LEARNING = Sisa(shards=3, slices=3)
RECIPE = Recipe(Mlp(hidden=(16,)), LEARNING, Training(epochs=8, batch_size=16, seed=7))
SHARDED = train_sharded(RECIPE, DATA, DATA.train_rows, CONTEXT)
PLACEMENT = Placement.of(len(DATA.train_labels), LEARNING, 7)


def rows_in(shard: int, number: int) -> list[int]:
    """Training rows of one slice."""
    rows = DATA.train_rows
    found: list[int] = rows[(PLACEMENT.shard[rows] == shard) & (PLACEMENT.slice[rows] == number)].tolist()
    return found


def provenance(model: Classifier) -> Provenance:
    """That of a model learned in shards."""
    assert model.provenance is not None
    return model.provenance


def same(first: Classifier, second: Classifier) -> bool:
    """Whether model, rows and every checkpoint are equal, bit for bit."""
    one, other = provenance(first), provenance(second)
    return (
        same_bits(first, second)
        and torch.equal(one.rows, other.rows)
        and one.checkpoints.keys() == other.checkpoints.keys()
        and all(
            torch.equal(tensor, other.checkpoints[place][name])
            for place, state in one.checkpoints.items()
            for name, tensor in state.items()
        )
    )


def without(sharded: Classifier, samples: list[int]) -> Classifier:
    """Trained without these samples from the start."""
    rows = provenance(sharded).rows
    return train_sharded(recipe_of(sharded), DATA, rows[~torch.isin(rows, torch.tensor(samples))], CONTEXT)


def test_the_shards_together_answer_right() -> None:
    found = answers(SHARDED, DATA.test_images, DATA.test_labels, torch.arange(len(DATA.test_labels)))
    assert (found.accuracy() or 0) > 0.95
    assert found.refusal_rate() == 0
    probabilities = SHARDED.probabilities(images_as_float(DATA.test_images))
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(len(DATA.test_labels)))


@settings(max_examples=6)
@given(st.lists(st.sampled_from(DATA.train_rows.tolist()), min_size=1, max_size=4, unique=True))
def test_forgetting_gives_the_bits_of_training_without_the_samples_from_the_start(samples: list[int]) -> None:
    forgotten = forget_samples(Case(Parent(SHARDED), DATA, of_samples(DATA, samples)), CONTEXT)
    assert same(forgotten.model, without(SHARDED, samples))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [Cnn(channels=(4,), hidden=8), Torchvision("resnet18")])
def test_other_networks_forget_as_exactly(architecture: Architecture) -> None:
    rows = DATA.train_rows[:60]
    recipe = Recipe(architecture, Sisa(shards=2, slices=2), Training(epochs=2, batch_size=16))
    sharded = train_sharded(recipe, DATA, rows, CONTEXT)
    sample = int(rows[0])
    others = DATA.train_rows[60:].tolist()
    partition = of_samples(DATA, [sample], earlier_samples=others)
    forgotten = forget_samples(Case(Parent(sharded), DATA, partition), CONTEXT).model
    assert same(forgotten, without(sharded, [sample]))
    assert not same_bits(forgotten, sharded)


def test_forgetting_in_two_steps_gives_the_bits_of_one() -> None:
    first, second = rows_in(0, 1)[:2], rows_in(2, 0)[:1] + rows_in(0, 2)[:1]
    once = forget_samples(Case(Parent(SHARDED), DATA, of_samples(DATA, first)), CONTEXT).model
    twice = forget_samples(Case(Parent(once), DATA, of_samples(DATA, second, earlier_samples=first)), CONTEXT).model
    assert same(twice, without(SHARDED, first + second))


def test_only_hit_shards_are_trained_again_and_from_the_slice_that_was_hit() -> None:
    done = forget_samples(Case(Parent(SHARDED), DATA, of_samples(DATA, rows_in(1, 2)[:1])), CONTEXT)
    assert done.first_slices == {1: 2}
    assert 0.1 < done.work < 0.25  # a third of the shards, a half of their images
    changed = weights_changed(SHARDED, done.model)
    assert changed["body.shards.1.1.weight"] > 0
    assert changed["body.shards.0.1.weight"] == changed["body.shards.2.1.weight"] == 0
    head = SHARDED.head.weight != done.model.head.weight
    assert bool(head[:, 16:32].any())
    assert not bool(head[:, :16].any() or head[:, 32:].any())
    for place in [(0, 0), (0, 2), (1, 0), (1, 1), (2, 2)]:
        assert provenance(done.model).checkpoints[place] is provenance(SHARDED).checkpoints[place]
    assert not torch.equal(
        provenance(done.model).checkpoints[1, 2]["head.weight"], provenance(SHARDED).checkpoints[1, 2]["head.weight"]
    )


def test_neither_forgotten_nor_held_out_rows_are_read_and_nothing_is_changed_in_place() -> None:
    samples = rows_in(0, 0)[:1] + rows_in(2, 1)[:2]
    partition = of_samples(DATA, samples)
    before = train_sharded(RECIPE, DATA, DATA.train_rows.flip(0), CONTEXT)
    blind = forget_samples(Case(Parent(SHARDED), poisoned(DATA, partition.train.retain), partition), CONTEXT).model
    assert same(blind, without(SHARDED, samples))
    assert same(SHARDED, before)  # untouched, and the order in which rows are named says nothing


def test_a_shard_that_lost_every_row_has_no_say() -> None:
    samples = [row for number in range(3) for row in rows_in(1, number)]
    left = forget_samples(Case(Parent(SHARDED), DATA, of_samples(DATA, samples)), CONTEXT).model
    assert {shard for shard, _ in provenance(left).checkpoints} == {0, 2}
    assert not left.head.weight[:, 16:32].any()
    found = answers(left, DATA.test_images, DATA.test_labels, torch.arange(len(DATA.test_labels)))
    assert (found.accuracy() or 0) > 0.9


def test_the_ensemble_gives_the_mean_of_the_logits_of_its_shards() -> None:
    images = images_as_float(DATA.test_images[:20])
    logits = []
    for shard in range(3):
        state = provenance(SHARDED).checkpoints[shard, 2]
        hidden = (images.flatten(1) @ state["body.1.weight"].T + state["body.1.bias"]).relu()
        logits.append(hidden @ state["head.weight"].T + state["head.bias"])
    torch.testing.assert_close(SHARDED(images), torch.stack(logits).mean(dim=0), atol=1e-4, rtol=1e-4)


def test_an_ensemble_is_measured_and_stored_as_every_classifier(tmp_path: Path) -> None:
    found = measure(SHARDED, DATA, of_samples(DATA, DATA.train_rows[:5].tolist()))
    assert found.test_accuracy is not None
    assert found.test_accuracy > 0.95
    save_file({name: tensor.contiguous() for name, tensor in SHARDED.state_dict().items()}, tmp_path / "weights")
    rebuilt = build(RECIPE.architecture, DATA.input_shape, DATA.num_classes, 1, LEARNING)
    rebuilt.load_state_dict(load_file(tmp_path / "weights"))
    assert same_bits(rebuilt, SHARDED)


def test_what_would_not_be_exact_is_refused_with_every_reason() -> None:
    recipe = replace(RECIPE, training=replace(RECIPE.training, early_stopping=2))
    with pytest.raises(NotApplicable) as refused:
        train_sharded(recipe, DATA, torch.tensor([1, 1, 2]), CONTEXT)
    assert [fault.pointer for fault in refused.value.errors] == ["/training/early_stopping", "/learning", "/rows"]


def test_what_cannot_be_forgotten_is_refused() -> None:
    with pytest.raises(NotApplicable, match="not classes"):
        forget_samples(Case(Parent(SHARDED), DATA, Partition.of(DATA, [1])), CONTEXT)
    with pytest.raises(NotApplicable, match="nothing to unlearn"):
        forget_samples(Case(Parent(SHARDED), DATA, of_samples(DATA, DATA.calibration_rows[:2].tolist())), CONTEXT)
    first = DATA.train_rows[:2].tolist()
    smaller = without(SHARDED, first)
    with pytest.raises(NotApplicable, match="had no part"):
        forget_samples(Case(Parent(smaller), DATA, of_samples(DATA, first)), CONTEXT)
    some = of_samples(DATA, [int(DATA.train_rows[5])], earlier_samples=first)
    with pytest.raises(NotApplicable, match="leaves out"):
        forget_samples(Case(Parent(SHARDED), DATA, some), CONTEXT)
    served_alone = build(RECIPE.architecture, DATA.input_shape, DATA.num_classes, 1, LEARNING)
    with pytest.raises(NotApplicable, match="checkpoints"):
        forget_samples(Case(Parent(served_alone), DATA, of_samples(DATA, first)), CONTEXT)


def test_checkpoints_that_would_fill_the_memory_are_refused() -> None:
    recipe = replace(RECIPE, architecture=Mlp(hidden=(4096, 4096)), learning=Sisa(shards=10, slices=10))
    with pytest.raises(NotApplicable, match="GiB"):
        train_sharded(recipe, DATA, DATA.train_rows, CONTEXT)


def test_forgetting_ends_when_it_is_cancelled_and_tells_how_far_it_is() -> None:
    fractions: list[float] = []
    partition = of_samples(DATA, rows_in(0, 0)[:1] + rows_in(1, 2)[:1])
    told = Context(progress=lambda fraction, _stage, _message: fractions.append(fraction))
    forget_samples(Case(Parent(SHARDED), DATA, partition), told)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1

    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        forget_samples(Case(Parent(SHARDED), DATA, partition), Context(check=check))
