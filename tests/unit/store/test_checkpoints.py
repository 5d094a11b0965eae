from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from app.errors import GateMissed, VersionCorrupted
from app.files import digest_of
from app.specs.architectures import Mlp
from app.specs.learning import Sisa
from app.specs.training import Training
from app.store import checkpoints, weights
from app.store.manifest import CHECKPOINTS, MANIFEST, WEIGHTS, Manifest
from app.store.versions import VersionStore
from app.unlearning.learning.architectures import build
from app.unlearning.learning.sisa.shards import Provenance

LEARNING = Sisa(shards=3, slices=2)
PLACES = ((0, 0), (0, 1), (2, 1))
"""The second shard has no row left, the first slice of the third neither."""


@pytest.fixture
def provenance() -> Provenance:
    states = {place: build(Mlp(hidden=(3,)), (1, 2, 2), 3, seed).state_dict() for seed, place in enumerate(PLACES)}
    return Provenance(Training(epochs=2, seed=5), torch.tensor([0, 4, 9]), states)


@pytest.fixture
def staged(store: VersionStore, manifest: Manifest, provenance: Provenance) -> Path:
    """A sealed version that learned in shards."""
    folder = store.stage("attempt-1")
    weights.save(build(Mlp(hidden=(3,)), (1, 2, 2), 3, 7, LEARNING), folder / WEIGHTS)
    checkpoints.save_provenance(provenance, folder / CHECKPOINTS)
    store.seal(folder, _of_shards(manifest, provenance))
    return folder


def _of_shards(manifest: Manifest, provenance: Provenance) -> Manifest:
    sharded = checkpoints.described(provenance, LEARNING)
    return manifest.model_copy(update={"learning": LEARNING, "sharded": sharded, "files": {}})


def _load(folder: Path) -> Provenance | None:
    return checkpoints.load_provenance(folder, digest_of((folder / MANIFEST).read_bytes()))


def _sealed_again(store: VersionStore, folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).unlink()
    (folder / "README.md").unlink()
    store.seal(folder, manifest)


def test_checkpoints_are_loaded_bit_for_bit_as_they_were_saved(staged: Path, provenance: Provenance) -> None:
    loaded = _load(staged)
    assert loaded is not None
    assert loaded.training == provenance.training
    assert torch.equal(loaded.rows, provenance.rows)
    assert set(loaded.checkpoints) == set(PLACES)
    for place, state in provenance.checkpoints.items():
        assert state.keys() == loaded.checkpoints[place].keys()
        assert all(torch.equal(values, loaded.checkpoints[place][name]) for name, values in state.items())


def test_what_shards_were_learned_with_stands_in_the_manifest(provenance: Provenance) -> None:
    described = checkpoints.described(provenance, LEARNING)
    assert (described.num_rows, described.first_slices) == (3, (0, 2, 1))


def test_other_ways_of_learning_have_no_checkpoints(store: VersionStore, manifest: Manifest) -> None:
    folder = store.stage("attempt-1")
    weights.save(build(Mlp(hidden=(3,)), (1, 2, 2), 3, 7), folder / WEIGHTS)
    store.seal(folder, manifest)
    assert _load(folder) is None


def test_missing_cut_and_changed_checkpoints_are_named(staged: Path) -> None:
    path = staged / CHECKPOINTS
    content = path.read_bytes()
    for wrong in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), content + bytes(10_000)):
        path.write_bytes(wrong)
        with pytest.raises(VersionCorrupted, match=CHECKPOINTS):
            _load(staged)
    path.unlink()
    with pytest.raises(VersionCorrupted, match=CHECKPOINTS):
        _load(staged)


def test_checkpoints_that_the_manifest_does_not_name_are_refused(
    store: VersionStore, staged: Path, manifest: Manifest, provenance: Provenance
) -> None:
    content = (staged / CHECKPOINTS).read_bytes()
    (staged / CHECKPOINTS).unlink()
    _sealed_again(store, staged, _of_shards(manifest, provenance))
    (staged / CHECKPOINTS).write_bytes(content)
    with pytest.raises(VersionCorrupted, match="not named"):
        _load(staged)


@pytest.mark.parametrize("wrong", ["a tensor more", "a tensor less", "another type", "rows in disorder", "no number"])
def test_a_file_that_does_not_hold_the_checkpoints_is_refused_even_with_the_right_digest(
    store: VersionStore, staged: Path, manifest: Manifest, provenance: Provenance, wrong: str
) -> None:
    tensors = load_file(staged / CHECKPOINTS)
    match wrong:
        case "a tensor more":
            tensors["shard.1.slice.0.head.bias"] = torch.zeros(3)
        case "a tensor less":
            del tensors["shard.0.slice.0.head.bias"]
        case "another type":
            tensors["rows"] = tensors["rows"].to(torch.int32)
        case "rows in disorder":
            tensors["rows"] = torch.tensor([0, 9, 4])
        case _:
            tensors["shard.0.slice.0.head.bias"][0] = torch.nan
    save_file(tensors, staged / CHECKPOINTS)
    _sealed_again(store, staged, _of_shards(manifest, provenance))
    with pytest.raises(VersionCorrupted, match=CHECKPOINTS):
        _load(staged)


def test_checkpoints_that_are_not_finite_are_not_saved(provenance: Provenance, tmp_path: Path) -> None:
    state = {name: values.clone() for name, values in provenance.checkpoints[0, 0].items()}
    state["head.bias"][0] = torch.inf
    diverged = replace(provenance, checkpoints={(0, 0): state})
    with pytest.raises(GateMissed):
        checkpoints.save_provenance(diverged, tmp_path / CHECKPOINTS)


@pytest.mark.parametrize("first", [(0, 2), (0, 2, 3)])
def test_a_manifest_whose_shards_are_others_is_refused(
    manifest: Manifest, provenance: Provenance, first: tuple[int, ...]
) -> None:
    told = _of_shards(manifest, provenance).model_dump()
    told["sharded"]["first_slices"] = first
    with pytest.raises(ValidationError, match="slice of each shard"):
        Manifest.model_validate(told)
    with pytest.raises(ValidationError, match="belongs to"):
        Manifest.model_validate(told | {"sharded": None})
