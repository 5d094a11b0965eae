"""Train in shards and slices, and forget samples by training again only what they had a part in."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from app.errors import FieldError, NotApplicable
from app.specs.architectures import Architecture
from app.specs.learning import Sisa
from app.specs.sharding import epochs_of_slices
from app.specs.training import Training
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.sisa.ensemble import assemble
from app.unlearning.learning.sisa.placement import Placement
from app.unlearning.learning.sisa.shards import Checkpoints, Provenance
from app.unlearning.learning.training import fit

MOST_BYTES = 2 * 2**30
"""The most bytes of all checkpoints of a model together; they are held in memory and stored with every version."""


@dataclass(frozen=True)
class Recipe:
    """What decides, beside the rows, every bit of a sharded model."""

    architecture: Architecture
    """The architecture of the network of one shard."""
    learning: Sisa
    training: Training
    """Epochs are passes over a shard's rows in all, shared out among its slices; its seed decides places, too."""
    forgotten: tuple[int, ...] = ()
    """Classes that are struck from the competition in training, too; no row that is learned belongs to them."""


@dataclass(frozen=True)
class Retrained:
    """What came of forgetting, and what it cost."""

    model: Classifier
    """The model, with its provenance."""
    first_slices: dict[int, int]
    """The shards that were hit, each with the slice from which it was trained again."""
    work: float
    """Images passed again, as a share of the images that training anew without the samples passes; 0..1."""
    seconds: float
    """Wall seconds."""


def train_sharded(recipe: Recipe, data: Dataset, rows: Tensor, context: Context) -> Classifier:
    """A model of these rows (int64) of the training file alone, with its provenance.

    Same recipe and rows, in any order: same bits. Raises NotApplicable, with every reason, where sharding would not
    hold what it promises, and whatever `fit` raises.
    """
    _check(recipe, data, rows)
    rows = rows.sort().values
    return _learn(recipe, data, rows, {}, dict.fromkeys(range(recipe.learning.shards), 0), context=context)


def forget_samples(case: Case, context: Context) -> Retrained:
    """The original without the samples of the partition, bit for bit as `train_sharded` makes it without them.

    A hit shard goes on from its last checkpoint before any of them; the others keep every bit. Neither images nor
    labels of the samples are read, and no checkpoint that they had a part in is kept. The original is not touched. Raises
    NotApplicable for classes, for samples that had no part, and where the model learned rows that the partition does not
    know.
    """
    start = time.perf_counter()
    forgotten = case.partition.train.forget
    provenance = provenance_of(case.original)
    _check_forgettable(case, provenance)
    recipe = recipe_of(case.original)
    placement = _placement(recipe, case.data)
    hits = placement.first_hits(forgotten)
    kept = {
        place: state for place, state in provenance.checkpoints.items() if place[1] < hits.get(place[0], place[1] + 1)
    }
    rows = provenance.rows[~torch.isin(provenance.rows, forgotten)]
    model = _learn(recipe, case.data, rows, kept, hits, context=context)
    every_shard = dict.fromkeys(range(recipe.learning.shards), 0)
    again, anew = (sum(_images(recipe, placement, rows, from_).values()) for from_ in (hits, every_shard))
    return Retrained(model, hits, again / anew, time.perf_counter() - start)


def provenance_of(model: Classifier) -> Provenance:
    """The provenance of a sharded model; raises NotApplicable for other models, and for models loaded without it."""
    if model.provenance is None:
        raise NotApplicable("The model has no shards with checkpoints; train one with the learning mode sisa.")
    return model.provenance


def recipe_of(model: Classifier) -> Recipe:
    """The recipe of a sharded model; raises as `provenance_of`."""
    training = provenance_of(model).training
    assert isinstance(model.learning, Sisa)  # others have no provenance
    return Recipe(model.architecture, model.learning, training, model.forgotten_classes)


def _learn(
    recipe: Recipe,
    data: Dataset,
    rows: Tensor,
    kept: Checkpoints,
    first_slices: Mapping[int, int],
    *,
    context: Context,
) -> Classifier:
    """Train these shards from these slices on; `kept` holds the states of the other shards."""
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
    model = _ensemble(recipe, data, checkpoints).to(context.device)
    model.provenance = Provenance(recipe.training, rows, checkpoints)
    return model


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
    epochs = epochs_of_slices(recipe.training.epochs, recipe.learning.slices)[number]
    training = replace(recipe.training, epochs=epochs, seed=_seed(recipe, shard, number))
    fit(model, data, rows, training, context)
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def _member(recipe: Recipe, data: Dataset, state: Mapping[str, Tensor] | None, shard: int) -> Classifier:
    model = build(recipe.architecture, data.input_shape, data.num_classes, _seed(recipe, shard, -1))
    model.mark_forgotten(recipe.forgotten)
    if state is not None:
        model.load_state_dict(state)
    return model


def _ensemble(recipe: Recipe, data: Dataset, checkpoints: Checkpoints) -> Classifier:
    last, shards = recipe.learning.slices - 1, recipe.learning.shards
    trained = [shard for shard in range(shards) if (shard, last) in checkpoints]
    members = {shard: _member(recipe, data, checkpoints[shard, last], shard) for shard in trained}
    model = build(recipe.architecture, data.input_shape, data.num_classes, 0, recipe.learning)
    assemble(model, members)
    model.mark_forgotten(recipe.forgotten)
    return model


def _placement(recipe: Recipe, data: Dataset) -> Placement:
    return Placement.of(len(data.train_labels), recipe.learning, recipe.training.seed)


def _images(
    recipe: Recipe, placement: Placement, rows: Tensor, first_slices: Mapping[int, int]
) -> dict[tuple[int, int], int]:
    """The images that training passes, by shard and slice to be trained, in their order."""
    epochs = epochs_of_slices(recipe.training.epochs, recipe.learning.slices)
    return {
        (shard, number): epochs[number] * len(placement.rows(rows, shard, number))
        for shard, first in sorted(first_slices.items())
        for number in range(first, recipe.learning.slices)
    }


def _seed(recipe: Recipe, shard: int, number: int) -> int:
    """A seed of its own for the fresh weights (-1) and for each slice of each shard; below 2**48."""
    told = f"{recipe.training.seed}/{shard}/{number}".encode()
    return int.from_bytes(hashlib.sha256(told).digest()[:6])


def _check(recipe: Recipe, data: Dataset, rows: Tensor) -> None:
    found = []
    if recipe.training.early_stopping:
        found.append(
            FieldError("/training/early_stopping", "Calibration rows would have a part in every shard; send 0.")
        )
    if len(rows) < recipe.learning.shards * recipe.learning.slices:
        found.append(FieldError("/learning", f"{len(rows)} rows do not fill every slice; ask for fewer."))
    if _bytes(recipe, data) > MOST_BYTES:
        detail = f"The checkpoints would have more than {MOST_BYTES // 2**30} GiB; ask for fewer shards or slices."
        found.append(FieldError("/learning", detail))
    if bool((rows.sort().values.diff() == 0).any()):
        found.append(FieldError("/rows", "A row is named twice; it would be learned twice as often."))
    if found:
        raise NotApplicable(" ".join(fault.detail for fault in found), errors=found)


def _bytes(recipe: Recipe, data: Dataset) -> int:
    state = build(recipe.architecture, data.input_shape, data.num_classes, 0).state_dict()
    one: int = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    return one * recipe.learning.shards * recipe.learning.slices


def _check_forgettable(case: Case, provenance: Provenance) -> None:
    """Raise NotApplicable, with every reason, unless shards can forget this."""
    partition = case.partition
    forget, known = partition.train.forget, torch.cat([partition.train.forget, partition.train.retain])
    found = []
    if partition.forget_classes:
        found.append(FieldError("/target", "Shards forget samples exactly, not classes; retrain for these."))
    if partition.earlier_classes != case.original.forgotten_classes:
        found.append(FieldError("/target", "The partition does not know which classes the model forgot earlier."))
    if len(forget) == 0:
        detail = "No training row is to be forgotten, so there is nothing to unlearn; name rows that the model learned."
        found.append(FieldError("/target", detail))
    elif not bool(torch.isin(forget, provenance.rows).all()):
        found.append(FieldError("/target", "Some of the samples had no part in this model; name those that had."))
    if not bool(torch.isin(provenance.rows, known).all()):
        found.append(FieldError("/target", "The model learned rows that the partition leaves out; retrain instead."))
    if found:
        raise NotApplicable(" ".join(fault.detail for fault in found), errors=found)
