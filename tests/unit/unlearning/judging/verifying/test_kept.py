from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from app.specs.architectures import Architecture, Cnn, Mlp
from app.specs.methods.retrain import RetrainParameters
from app.specs.training import Training
from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.judging.verifying.claims import Sought
from app.unlearning.judging.verifying.deep_verification import verify
from app.unlearning.judging.verifying.kept import Shelf, observe_or_recall
from app.unlearning.judging.verifying.observations import Depth, Observation, draw_sets, observe
from app.unlearning.judging.verifying.peers import Peers
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit
from app.unlearning.methods import METHODS
from app.unlearning.partition import Partition
from app.unlearning.sample_partition import of_samples
from tests.unit.unlearning.blobs import blobs

ARCHITECTURES: dict[str, Architecture] = {
    "mlp": Mlp(hidden=(16,)),
    "cnn": Cnn(channels=(4, 4), hidden=16),
}
TARGETS: dict[str, Callable[[Dataset], Partition]] = {
    "class": lambda data: Partition.of(data, [1]),
    "samples": lambda data: of_samples(data, data.train_rows[:60].tolist()),
}
RECIPE = Training(epochs=2, batch_size=40)


class Kept:
    """Tensors in memory, and a count of what came of asking for them."""

    def __init__(self) -> None:
        self.tensors: dict[str, Mapping[str, Tensor]] = {}
        self.found = self.missed = 0

    def read(self, key: str) -> Mapping[str, Tensor] | None:
        found = self.tensors.get(key)
        self.found, self.missed = self.found + (found is not None), self.missed + (found is None)
        return found

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        self.tensors[key] = tensors

    def shelf(self, about: str = "one data set, one machine") -> Shelf:
        return Shelf(self.read, self.write, about)


class World:
    """A network, and some retrained without what is to be forgotten."""

    def __init__(self, architecture: str, target: str) -> None:
        self.data = blobs(rows=480, size=16, noise=90.0)
        self.partition = TARGETS[target](self.data)
        self.original = build(ARCHITECTURES[architecture], self.data.input_shape, self.data.num_classes, 0)
        fit(self.original, self.data, self.data.train_rows, RECIPE, Context())
        self.references = {seed: self.retrained(seed) for seed in (1, 2, 3)}
        self.sets = draw_sets(self.data, self.partition, "fast", 5)

    def retrained(self, seed: int) -> Classifier:
        recipe = RetrainParameters(training=replace(RECIPE, seed=seed))
        return (
            METHODS["retrain"]
            .run(Case(Parent(self.original), self.data, self.partition), recipe, Context(), seed=seed)
            .model
        )

    def report(self, unlearned: Classifier, shelf: Shelf | None, depth: Depth = "fast") -> str:
        sets, peers = draw_sets(self.data, self.partition, depth, 5), Peers(self.original, self.references, shelf=shelf)
        found = verify(unlearned, Sought("approximate", "calibrate", 0.05), sets, peers, Context())
        return json.dumps(found.as_json())

    def recalled(self, model: Classifier, shelf: Shelf) -> Observation:
        return observe_or_recall(model, self.sets, Context(), shelf)


@pytest.fixture(scope="module")
def world() -> World:
    return World("mlp", "class")


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
@pytest.mark.parametrize("target", list(TARGETS))
def test_a_report_from_what_was_kept_is_that_of_models_run_anew_to_the_bit(architecture: str, target: str) -> None:
    world, kept = World(architecture, target), Kept()
    unlearned = world.retrained(9)
    anew = world.report(unlearned, None)
    assert world.report(unlearned, kept.shelf()) == anew
    assert (kept.found, kept.missed) == (0, 4)
    runs: list[int] = []
    for model in (world.original, *world.references.values()):
        model.register_forward_hook(lambda *_: runs.append(1))
    assert world.report(unlearned, kept.shelf()) == anew
    assert (kept.found, kept.missed) == (4, 4)
    assert runs == []


def test_every_tensor_of_an_observation_comes_back_to_the_bit(world: World) -> None:
    kept = Kept()
    world.recalled(world.original, kept.shelf())
    recalled = world.recalled(world.original, kept.shelf())
    seen = observe(world.original, world.sets, Context())
    for name in ("forget", "retain", "test_forget", "test_retain"):
        for part in ("labels", "logits", "probabilities", "served"):
            assert torch.equal(getattr(getattr(seen, name), part), getattr(getattr(recalled, name), part))
    for ours, theirs in ((seen.probes, recalled.probes), (seen.prototypes, recalled.prototypes)):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(*pair) for pair in zip(ours.values(), theirs.values(), strict=True))
    assert seen.digest == recalled.digest


def test_other_weights_buffers_rows_seeds_data_or_machines_are_measured_anew(world: World) -> None:
    kept = Kept()
    world.recalled(world.original, kept.shelf())
    moved = world.retrained(1)
    moved.load_state_dict(world.original.state_dict())
    with torch.no_grad():
        moved.head.bias[0] += 1e-6
    struck = world.retrained(1)
    struck.load_state_dict(world.original.state_dict() | {"forgotten": torch.tensor([True, False, False, False])})
    for model in (moved, struck):
        world.recalled(model, kept.shelf())
    others = [
        replace(world.sets, retain=world.sets.retain[:-1]),
        replace(world.sets, retain=world.sets.retain.flip(0)),
        replace(world.sets, seed=6),
    ]
    for sets in others:
        observe_or_recall(world.original, sets, Context(), kept.shelf())
    world.recalled(world.original, kept.shelf("another data set"))
    assert (kept.found, kept.missed) == (0, 7)


@pytest.mark.parametrize("name", ["logits.training", "logits.test", "probe", "prototypes"])
def test_tensors_that_do_not_fit_are_measured_anew(world: World, name: str) -> None:
    kept = Kept()
    right = world.recalled(world.original, kept.shelf())
    (key,) = kept.tensors
    whole = kept.tensors[key][name]
    kept.tensors[key] = {**kept.tensors[key], name: whole[:-1]}
    found = world.recalled(world.original, kept.shelf())
    assert torch.equal(found.forget.logits, right.forget.logits)
    assert found.prototypes.keys() == right.prototypes.keys()
    assert torch.equal(kept.tensors[key][name], whole)
    assert kept.tensors.keys() == {key}


def test_a_deep_verification_runs_every_model_anew(world: World) -> None:
    kept = Kept()
    world.report(world.retrained(9), kept.shelf(), "deep")
    assert (kept.found, kept.missed, kept.tensors) == (0, 0, {})
