from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from app.contract.models import Forgotten
from app.errors import GateMissed, StorageUnavailable, VersionCorrupted
from app.files import digest_of
from app.specs.architectures import Architecture, Cnn, Gru, Lstm, Mlp, Torchvision
from app.specs.learning import SynapticIntelligence
from app.store import weights
from app.store.manifest import CARD, IMPORTANCE, MANIFEST, WEIGHTS, Manifest
from app.store.versions import VersionStore
from app.unlearning.learning.architectures import Classifier, build


@pytest.fixture
def folder(store: VersionStore, stage: Any) -> Path:
    """A published version."""
    store.publish(stage()[0], "digits", 2)
    return store.folder("digits", 2)


def _manifest_digest(folder: Path) -> str:
    return digest_of((folder / MANIFEST).read_bytes())


def _same(first: Classifier, second: Classifier) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(a == b and x.dtype == y.dtype and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize(
    "architecture",
    [Mlp(hidden=()), Mlp(hidden=(5, 4)), Cnn(channels=(2,), hidden=4), Gru(hidden=(5, 4)), Lstm(hidden=(5,))],
)
def test_a_model_is_loaded_bit_for_bit_as_it_was_saved(
    store: VersionStore, manifest: Manifest, architecture: Architecture
) -> None:
    model = build(architecture, (1, 6, 6), 3, seed=1)
    model.mark_forgotten([2])
    model.null_bias.fill_(1.25)
    staged = store.stage("attempt-1")
    digest = weights.save(model, staged / WEIGHTS)
    store.seal(staged, manifest.model_copy(update={"architecture": architecture, "input_shape": (1, 6, 6)}))
    loaded = weights.load(staged, digest, _manifest_digest(staged))
    assert _same(model, loaded)
    assert not loaded.training
    assert loaded.forgotten_classes == (2,)


def test_a_torchvision_network_keeps_its_running_statistics(store: VersionStore, manifest: Manifest) -> None:
    architecture = Torchvision("shufflenet_v2_x0_5")
    model = build(architecture, (3, 32, 32), 3, seed=1).train()
    model(torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    staged = store.stage("attempt-1")
    digest = weights.save(model, staged / WEIGHTS)
    store.seal(staged, manifest.model_copy(update={"architecture": architecture, "input_shape": (3, 32, 32)}))
    assert _same(model, weights.load(staged, digest, _manifest_digest(staged)))


def test_equal_models_have_equal_digests_and_unequal_ones_do_not(model: Classifier, tmp_path: Path) -> None:
    first, again = weights.save(model, tmp_path / "first"), weights.save(model, tmp_path / "again")
    model.head.bias.data[0] += 1
    assert first == again == digest_of((tmp_path / "again").read_bytes())
    assert weights.save(model, tmp_path / "other") != first


def test_a_model_that_diverged_is_not_saved(model: Classifier, tmp_path: Path) -> None:
    model.head.bias.data[1] = torch.inf
    with pytest.raises(GateMissed, match=r"diverged: the tensor head\.bias has values that are not finite"):
        weights.save(model, tmp_path / WEIGHTS)
    assert list(tmp_path.iterdir()) == []


def test_saving_never_overwrites(model: Classifier, tmp_path: Path) -> None:
    weights.save(model, tmp_path / WEIGHTS)
    before = (tmp_path / WEIGHTS).read_bytes()
    with pytest.raises(StorageUnavailable, match="File exists"):
        weights.save(model, tmp_path / WEIGHTS)
    assert (tmp_path / WEIGHTS).read_bytes() == before


def test_a_missing_file_is_named(folder: Path) -> None:
    digest = digest_of((folder / WEIGHTS).read_bytes())
    (folder / WEIGHTS).unlink()
    with pytest.raises(VersionCorrupted, match=r"models/digits/2/model\.safetensors is missing"):
        weights.load(folder, digest, _manifest_digest(folder))


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_a_file_cut_short_is_named(folder: Path, size: int) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:size])
    with pytest.raises(VersionCorrupted, match=r"models/digits/2/model\.safetensors does not match its digest"):
        weights.load(folder, digest_of(content), _manifest_digest(folder))


def test_a_file_far_too_long_is_refused_unread(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    with (folder / WEIGHTS).open("ab") as file:
        file.truncate(2**40)
    with pytest.raises(VersionCorrupted, match="longer than the"):
        weights.load(folder, digest_of(content), _manifest_digest(folder))


def _header(content: bytes) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return header


def _with_header(content: bytes, header: str) -> bytes:
    data = content[8 + int.from_bytes(content[:8], "little") :]
    return len(header).to_bytes(8, "little") + header.encode() + data


def _renamed(content: bytes) -> bytes:
    return _with_header(content, json.dumps(_header(content)).replace("head.bias", "head.bios"))


def _retyped(content: bytes) -> bytes:
    header = _header(content)
    header["head.bias"]["dtype"] = "I32"
    return _with_header(content, json.dumps(header))


def _reshaped(content: bytes) -> bytes:
    header = _header(content)
    header["head.bias"]["shape"] = [3, 1]
    return _with_header(content, json.dumps(header))


def _overlapping(content: bytes) -> bytes:
    header = _header(content)
    header["body.1.bias"]["data_offsets"] = header["head.bias"]["data_offsets"]
    return _with_header(content, json.dumps(header))


def _doubled(content: bytes) -> bytes:
    header = json.dumps(_header(content))
    return _with_header(content, header[:-1] + ', "head.bias": ' + json.dumps(_header(content)["head.bias"]) + "}")


def _undescribed(content: bytes) -> bytes:
    return _with_header(content, json.dumps(_header(content) | {"head.bias": "F32"}))


def _huge_header(content: bytes) -> bytes:
    return (2**60).to_bytes(8, "little") + content[8:]


def _not_json(content: bytes) -> bytes:
    return _with_header(content, "not JSON")


def _nested(content: bytes) -> bytes:
    return _with_header(content, "[" * 1500)


def _not_finite(content: bytes) -> bytes:
    header = _header(content)
    bias = next(name for name in header if name.endswith("head.bias"))
    start = 8 + int.from_bytes(content[:8], "little") + header[bias]["data_offsets"][0]
    return content[:start] + b"\x00\x00\xc0\x7f" + content[start + 4 :]


FORGERIES: list[tuple[Callable[[bytes], bytes], str]] = [
    (_renamed, "names of its tensors are others"),
    (_retyped, r"head\.bias is not F32"),
    (_reshaped, r"head\.bias is not F32 \[3\]"),
    (_overlapping, "does not hold the model"),
    (_doubled, "a name occurs twice"),
    (_huge_header, "length is not that of these tensors"),
    (_undescribed, "header does not describe tensors"),
    (_not_json, "does not hold the model"),
    (_nested, "does not hold the model"),
    (_not_finite, r"head\.bias has values that are not finite"),
]


@pytest.mark.parametrize(("forge", "reason"), FORGERIES, ids=[forge.__name__ for forge, _ in FORGERIES])
def test_a_file_that_is_not_the_model_is_refused_even_with_the_right_digest(
    folder: Path, forge: Callable[[bytes], bytes], reason: str
) -> None:
    forged = forge((folder / WEIGHTS).read_bytes())
    (folder / WEIGHTS).write_bytes(forged)
    with pytest.raises(VersionCorrupted, match=rf"models/digits/2/model\.safetensors .*{reason}"):
        weights.load(folder, digest_of(forged), _manifest_digest(folder))


def test_a_manifest_of_another_architecture_is_noticed(folder: Path, manifest: Manifest) -> None:
    digest = digest_of((folder / WEIGHTS).read_bytes())
    (folder / MANIFEST).write_bytes(manifest.model_copy(update={"architecture": Mlp(hidden=(4,))}).to_bytes())
    with pytest.raises(VersionCorrupted, match=r"model\.safetensors does not hold the model of its manifest"):
        weights.load(folder, digest, _manifest_digest(folder))


@pytest.mark.parametrize("change", [{"class_names": ("two", "one", "zero")}, {"architecture": Mlp(hidden=(4,))}])
def test_a_manifest_that_was_changed_is_refused_by_name(
    folder: Path, manifest: Manifest, change: dict[str, Any]
) -> None:
    digest, manifest_digest = digest_of((folder / WEIGHTS).read_bytes()), _manifest_digest(folder)
    (folder / MANIFEST).write_bytes(manifest.model_copy(update=change).to_bytes())
    with pytest.raises(VersionCorrupted, match=r"models/digits/2/manifest\.json does not match its digest"):
        weights.load(folder, digest, manifest_digest)


# --- importance ----------------------------------------------------------------------------------

TASKS = SynapticIntelligence(tasks=((0,), (1,), (2,)))


def importance_of(model: Classifier, *tasks: int) -> dict[int, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return {
        task: {name: torch.rand(tensor.shape, generator=generator) for name, tensor in model.named_parameters()}
        for task in tasks
    }


@pytest.fixture
def by_task() -> Classifier:
    """Of three tasks, the second of which is forgotten."""
    built = build(Mlp(hidden=(3,)), (1, 2, 2), 3, 7, TASKS)
    built.mark_forgotten([1])
    return built


@pytest.fixture
def staged(store: VersionStore, by_task: Classifier, manifest: Manifest) -> Path:
    """A sealed version with the importance of its tasks 0 and 2."""
    staged = store.stage("attempt-1")
    weights.save(by_task, staged / WEIGHTS)
    weights.save_importance(importance_of(by_task, 0, 2), staged / IMPORTANCE)
    forgotten = Forgotten(classes=[1], tasks=[1])
    store.seal(staged, manifest.model_copy(update={"learning": TASKS, "forgotten": forgotten}))
    return staged


def load_importance(folder: Path, model: Classifier) -> Mapping[int, dict[str, torch.Tensor]]:
    return weights.load_importance(folder, _manifest_digest(folder), model)


def reseal(folder: Path) -> None:
    """Let the manifest name the importance as it is now."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"][IMPORTANCE] = digest_of((folder / IMPORTANCE).read_bytes())
    (folder / MANIFEST).write_bytes(Manifest.model_validate_json(json.dumps(manifest)).to_bytes())


def test_importance_is_loaded_bit_for_bit_as_it_was_saved(staged: Path, by_task: Classifier) -> None:
    loaded, saved = load_importance(staged, by_task), importance_of(by_task, 0, 2)
    assert list(loaded) == [0, 2]
    for task, tensors in loaded.items():
        assert all(torch.equal(tensor, saved[task][name]) for name, tensor in tensors.items())
    assert set(Manifest.model_validate_json((staged / MANIFEST).read_bytes()).files) == {WEIGHTS, IMPORTANCE, CARD}


def test_no_importance_at_all_is_saved_and_loaded_too(staged: Path, by_task: Classifier) -> None:
    (staged / IMPORTANCE).unlink()
    weights.save_importance({}, staged / IMPORTANCE)
    reseal(staged)
    assert load_importance(staged, by_task) == {}


def test_of_layouts_that_are_not_contiguous_the_importance_is_saved_all_the_same(
    store: VersionStore, manifest: Manifest
) -> None:
    architecture = Cnn(channels=(2,), hidden=4)
    model = build(architecture, (1, 6, 6), 3, 1, TASKS)
    importance = {0: {name: parameter.detach().abs() for name, parameter in model.named_parameters()}}
    staged = store.stage("attempt-1")
    weights.save(model, staged / WEIGHTS)
    weights.save_importance(importance, staged / IMPORTANCE)
    changes = {"learning": TASKS, "architecture": architecture, "input_shape": (1, 6, 6), "forgotten": Forgotten()}
    store.seal(staged, manifest.model_copy(update=changes))
    assert list(load_importance(staged, model)) == [0]


def test_other_ways_of_learning_have_no_importance(folder: Path, model: Classifier) -> None:
    assert load_importance(folder, model) == {}


def test_importance_that_is_missing_cut_short_or_changed_is_named(staged: Path, by_task: Classifier) -> None:
    content = (staged / IMPORTANCE).read_bytes()
    for damaged in (content[:-1], content[:5], b"", content[:-1] + b"x"):
        (staged / IMPORTANCE).write_bytes(damaged)
        with pytest.raises(VersionCorrupted, match=r"importance\.safetensors does not match its digest"):
            load_importance(staged, by_task)
    (staged / IMPORTANCE).unlink()
    with pytest.raises(VersionCorrupted, match=r"importance\.safetensors is missing"):
        load_importance(staged, by_task)


def test_importance_far_too_long_is_refused_unread(staged: Path, by_task: Classifier) -> None:
    with (staged / IMPORTANCE).open("ab") as file:
        file.truncate(2**40)
    with pytest.raises(VersionCorrupted, match="longer than the"):
        load_importance(staged, by_task)


def test_importance_that_the_manifest_does_not_name_is_refused(staged: Path, by_task: Classifier) -> None:
    manifest = Manifest.model_validate_json((staged / MANIFEST).read_bytes())
    named = {name: digest for name, digest in manifest.files.items() if name != IMPORTANCE}
    (staged / MANIFEST).write_bytes(manifest.model_copy(update={"files": named}).to_bytes())
    with pytest.raises(VersionCorrupted, match=r"importance\.safetensors is not named in the manifest"):
        load_importance(staged, by_task)


@pytest.mark.parametrize(
    ("tasks", "change", "reason"),
    [
        ((0, 1), lambda tensors: tensors, "names of its tensors are others|length is not that"),
        ((0, 3), lambda tensors: tensors, "names of its tensors are others|length is not that"),
        ((0,), lambda tensors: {**tensors, "head.bias": tensors["head.bias"][:2]}, "length is not that"),
        ((0,), lambda tensors: {**tensors, "head.bias": tensors["head.bias"].double()}, "length is not that"),
        ((0,), lambda tensors: {**tensors, "head.bias": -tensors["head.bias"]}, "values below 0"),
        ((0,), lambda tensors: {"head.bias": tensors["head.bias"]}, "length is not that"),
    ],
)
def test_importance_of_a_forgotten_task_or_of_another_network_is_refused(
    staged: Path, by_task: Classifier, tasks: tuple[int, ...], change: Callable[[Any], Any], reason: str
) -> None:
    (staged / IMPORTANCE).unlink()
    forged = {task: change(tensors) for task, tensors in importance_of(by_task, *tasks).items()}
    weights.save_importance(forged, staged / IMPORTANCE)
    reseal(staged)
    with pytest.raises(VersionCorrupted, match=rf"importance\.safetensors does not hold .*({reason})"):
        load_importance(staged, by_task)


@pytest.mark.parametrize(("forge", "reason"), [(_huge_header, "length"), (_not_json, ""), (_not_finite, "not finite")])
def test_a_file_that_is_no_importance_is_refused_even_with_the_right_digest(
    staged: Path, by_task: Classifier, forge: Callable[[bytes], bytes], reason: str
) -> None:
    (staged / IMPORTANCE).write_bytes(forge((staged / IMPORTANCE).read_bytes()))
    reseal(staged)
    with pytest.raises(VersionCorrupted, match=rf"importance\.safetensors does not hold .*{reason}"):
        load_importance(staged, by_task)


def test_importance_that_is_not_finite_is_not_saved(by_task: Classifier, tmp_path: Path) -> None:
    importance = importance_of(by_task, 0)
    importance[0]["head.bias"][0] = torch.nan
    with pytest.raises(GateMissed, match=r"task\.0\.head\.bias has values that are not finite"):
        weights.save_importance(importance, tmp_path / IMPORTANCE)
