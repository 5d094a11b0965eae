"""Train in shards and slices, and forget samples by training again no more than what they had a part in."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from app.errors import FieldError, NotApplicable
from app.method_parameters import Sharding
from app.specs import Architecture, Training
from app.unlearning.architectures import Classifier, build, seeded
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.partition import Partition
from app.unlearning.sisa.ensemble import ShardedClassifier, assembled
from app.unlearning.sisa.placement import Placement
from app.unlearning.training import fit

Checkpoints = Mapping[tuple[int, int], Mapping[str, Tensor]]
"""By shard and slice: the state of the shard's network after it learned that slice; of shards without rows, none."""


@dataclass(frozen=True)
class Recipe:
    """What decides, beside the rows, every bit of a sharded model."""

    architecture: Architecture
    sharding: Sharding
    training: Training
    """Epochs are passes over a shard's rows in all, shared out among its slices; its seed decides places, too."""


@dataclass(frozen=True)
class Sharded:
    """A model learned in shards, and all that is needed to forget samples of it exactly."""

    model: ShardedClassifier
    recipe: Recipe
    rows: Tensor
    """int64, ascending: every row of the training file that had a part in it, and no other."""
    checkpoints: Checkpoints


@dataclass(frozen=True)
class Retrained:
    """What came of forgetting, and what it cost."""

    result: Sharded
    first_slices: dict[int, int]
    """The shards that were hit, each with the slice from which it was trained again."""
    work: float
    """Images passed again, as a share of those that training anew without the samples passes; 0..1."""
    seconds: float
    """Wall time."""


def train_sharded(recipe: Recipe, data: Dataset, rows: Tensor, context: Context) -> Sharded:
    """A model of these rows (int64) of the training file alone. Same recipe and rows, in any order: same bits.

    Raises NotApplicable, with every reason, where sharding would not hold what it promises.
    """
    _check(recipe, rows)
    rows = rows.sort().values
    return _learn(recipe, data, rows, {}, dict.fromkeys(range(recipe.sharding.shards), 0), context=context)


def forget_samples(original: Sharded, data: Dataset, partition: Partition, context: Context) -> Retrained:
    """`original` without the samples of `partition`, bit for bit as `train_sharded` makes it without them.

    A hit shard goes on from its last checkpoint before any of them; the others keep every bit. Neither images nor
    labels of the samples are read, and no checkpoint that they had a part in is kept. `original` is not touched. Raises
    NotApplicable for classes, for samples that had no part, and where the partition knows of other rows.
    """
    start = time.perf_counter()
    forgotten = partition.train.forget
    _check_forgettable(original, partition)
    placement = _placement(original.recipe, data)
    hits = placement.first_hits(forgotten)
    kept = {
        place: state for place, state in original.checkpoints.items() if place[1] < hits.get(place[0], place[1] + 1)
    }
    rows = original.rows[~torch.isin(original.rows, forgotten)]
    result = _learn(original.recipe, data, rows, kept, hits, context=context)
    every_shard = dict.fromkeys(range(original.recipe.sharding.shards), 0)
    again, anew = (sum(_images(original.recipe, placement, rows, from_).values()) for from_ in (hits, every_shard))
    return Retrained(result, hits, again / anew, time.perf_counter() - start)


def epochs_of_slices(epochs: int, slices: int) -> list[int]:
    """Epochs after each slice is added, at least 1: passed images are those of `epochs` over the whole shard.

    2 epochs / (slices + 1) each (the paper's section VII), the remainder to the last slices, which have most rows.
    """
    each, more = divmod(2 * epochs, slices + 1)
    return [max(1, each + (slices - place <= more)) for place in range(slices)]


def _learn(
    recipe: Recipe,
    data: Dataset,
    rows: Tensor,
    kept: Checkpoints,
    first_slices: Mapping[int, int],
    *,
    context: Context,
) -> Sharded:
    """Train these shards from these slices on; what the others are is in `kept`."""
    placement, checkpoints = _placement(recipe, data), dict(kept)
    work = _images(recipe, placement, rows, first_slices)
    done, total = 0, max(1, sum(work.values()))
    for (shard, number), images in work.items():
        part = context.part(done / total, (done + images) / total)
        learned = placement.rows(rows, shard, number)
        if len(learned) > 0:
            before = checkpoints.get((shard, number - 1))
            checkpoints[shard, number] = _learn_slice(
                recipe, data, learned, before, place=(shard, number), context=part
            )
        done += images
    context.report(1.0, "training", "every shard is trained")
    return Sharded(_ensemble(recipe, data, checkpoints), recipe, rows, checkpoints)


def _learn_slice(
    recipe: Recipe,
    data: Dataset,
    rows: Tensor,
    before: Mapping[str, Tensor] | None,
    *,
    place: tuple[int, int],
    context: Context,
) -> dict[str, Tensor]:
    """The state of a shard's network after a slice; `before` is that after the slice before, None for fresh weights."""
    shard, number = place
    model = _member(recipe, data, before, shard)
    epochs = epochs_of_slices(recipe.training.epochs, recipe.sharding.slices)[number]
    training = replace(recipe.training, epochs=epochs, seed=_seed(recipe, shard, number))
    fit(model, data, rows, training, context)
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def _member(recipe: Recipe, data: Dataset, state: Mapping[str, Tensor] | None, shard: int) -> Classifier:
    model = build(recipe.architecture, data.input_shape, data.num_classes, _seed(recipe, shard, -1))
    if state is not None:
        model.load_state_dict(state)
    return model


def _ensemble(recipe: Recipe, data: Dataset, checkpoints: Checkpoints) -> ShardedClassifier:
    last, shards = recipe.sharding.slices - 1, recipe.sharding.shards
    trained = [shard for shard in range(shards) if (shard, last) in checkpoints]
    members = {shard: _member(recipe, data, checkpoints[shard, last], shard) for shard in trained}
    with seeded(0):  # weights that are drawn and overwritten
        return assembled(recipe.architecture, data.input_shape, data.num_classes, shards=shards, members=members)


def _placement(recipe: Recipe, data: Dataset) -> Placement:
    return Placement.of(len(data.train_labels), recipe.sharding, recipe.training.seed)


def _images(
    recipe: Recipe, placement: Placement, rows: Tensor, first_slices: Mapping[int, int]
) -> dict[tuple[int, int], int]:
    """By shard and slice to be trained, in their order: the images that training passes."""
    epochs = epochs_of_slices(recipe.training.epochs, recipe.sharding.slices)
    return {
        (shard, number): epochs[number] * len(placement.rows(rows, shard, number))
        for shard, first in sorted(first_slices.items())
        for number in range(first, recipe.sharding.slices)
    }


def _seed(recipe: Recipe, shard: int, number: int) -> int:
    """A seed of its own for the fresh weights (-1) and for each slice of each shard; below 2**48."""
    told = f"{recipe.training.seed}/{shard}/{number}".encode()
    return int.from_bytes(hashlib.sha256(told).digest()[:6])


def _check(recipe: Recipe, rows: Tensor) -> None:
    found = []
    if recipe.training.early_stopping:
        found.append(
            FieldError("/training/early_stopping", "Calibration rows would have a part in every shard; send 0.")
        )
    if len(rows) < recipe.sharding.shards * recipe.sharding.slices:
        found.append(FieldError("/sharding", f"{len(rows)} rows do not fill every slice; ask for fewer."))
    if bool((rows.sort().values.diff() == 0).any()):
        found.append(FieldError("/rows", "A row is named twice; it would be learned twice as often."))
    if found:
        raise NotApplicable(" ".join(fault.detail for fault in found), errors=found)


def _check_forgettable(original: Sharded, partition: Partition) -> None:
    found = []
    if partition.forget_classes or partition.earlier_classes or original.model.forgotten_classes:
        found.append(FieldError("/target", "Shards forget samples exactly, not classes; use another method for these."))
    if len(partition.train.forget) == 0:
        found.append(FieldError("/target", "No training row is to be forgotten, so there is nothing to unlearn."))
    elif not bool(torch.isin(partition.train.forget, original.rows).all()):
        found.append(FieldError("/target", "Some of the samples had no part in this model; name those that had."))
    elif not torch.equal(torch.cat([partition.train.forget, partition.train.retain]).sort().values, original.rows):
        found.append(FieldError("/target", "The partition knows other rows than the model learned; take its own."))
    if found:
        raise NotApplicable(" ".join(fault.detail for fault in found), errors=found)
