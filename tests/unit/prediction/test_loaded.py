from __future__ import annotations

import select
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.errors import VersionCorrupted
from app.prediction.batching import Question
from app.prediction.loaded import IDLE_SECONDS, LoadedVersions, probabilities
from app.prediction.protocol import VersionKey
from app.specs.architectures import Mlp
from app.store.manifest import WEIGHTS
from app.store.versions import VersionStore
from app.unlearning.learning.architectures import build
from app.unlearning.refusing.guard import Guarded
from tests.stored_versions import BY_TASK, StoredVersion, inputs, store_version


def load(versions: LoadedVersions, stored: StoredVersion) -> Guarded | Exception:
    versions.load(stored.key)
    select.select([versions.wake], [], [])
    [(key, version)] = versions.take_loaded()
    assert key == stored.key
    return version


def asked(rows: int, task: int | None = None, seed: int = 0) -> Question:
    return Question(0, VersionKey("digits", 1, "sha256:0", "sha256:0"), inputs(rows, seed).numpy(), task)


def test_the_version_used_longest_ago_is_dropped_when_there_are_too_many(tmp_path: Path) -> None:
    stored = [store_version(tmp_path, number=number) for number in (1, 2, 3)]
    versions = LoadedVersions(tmp_path, versions=2)
    load(versions, stored[0])
    load(versions, stored[1])
    assert versions.get(stored[0].key)
    load(versions, stored[2])
    assert [versions.get(version.key) is not None for version in stored] == [True, False, True]


def test_versions_are_dropped_when_they_are_too_large_together_but_never_the_last_one(tmp_path: Path) -> None:
    stored = [store_version(tmp_path, number=number) for number in (1, 2)]
    versions = LoadedVersions(tmp_path, size=100)
    for version in stored:
        load(versions, version)
    assert [versions.get(version.key) is not None for version in stored] == [False, True]


def test_a_version_asked_for_twice_is_loaded_once(tmp_path: Path) -> None:
    stored = store_version(tmp_path)
    versions = LoadedVersions(tmp_path)
    versions.load(stored.key)
    load(versions, stored)
    assert not select.select([versions.wake], [], [], 0.2)[0]


def test_versions_of_equal_weights_are_loaded_and_refused_each_for_itself(tmp_path: Path) -> None:
    damaged, intact = (store_version(tmp_path, model=model, seed=1) for model in ("damaged", "intact"))
    assert damaged.digest == intact.digest
    (VersionStore(tmp_path).folder("damaged", 1) / WEIGHTS).unlink()
    versions = LoadedVersions(tmp_path)
    assert isinstance(load(versions, damaged), VersionCorrupted)
    assert isinstance(load(versions, intact), Guarded)
    assert [versions.get(version.key) is not None for version in (damaged, intact)] == [False, True]


def test_a_version_nobody_has_asked_for_in_ten_minutes_is_dropped_and_the_others_stay(tmp_path: Path) -> None:
    now = 0.0
    versions = LoadedVersions(tmp_path, clock=lambda: now)
    idle, used = (store_version(tmp_path, number=number) for number in (1, 2))
    for version in (used, idle):
        load(versions, version)
    now = IDLE_SECONDS - 1
    versions.drop_idle()
    assert versions.get(used.key)
    now = IDLE_SECONDS
    versions.drop_idle()
    assert [versions.get(version.key) is not None for version in (idle, used)] == [False, True]


def test_what_cannot_be_loaded_comes_back_as_the_reason_and_is_not_kept(tmp_path: Path) -> None:
    stored = store_version(tmp_path)
    versions = LoadedVersions(tmp_path)
    other = replace(stored, digest=f"sha256:{1:064x}")
    assert isinstance(load(versions, other), VersionCorrupted)
    assert versions.get(other.key) is None


def test_probabilities_sum_to_one_and_forgotten_classes_are_exactly_zero(tmp_path: Path) -> None:
    network = store_version(tmp_path, forgotten=(0, 2)).network
    answers = probabilities(Guarded(network), [asked(100)])
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)
    assert not answers[:, [0, 2]].any()


def test_a_network_that_overflows_is_an_error_and_no_answer(tmp_path: Path) -> None:
    network = store_version(tmp_path).network
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(3e38)
    with pytest.raises(ArithmeticError):
        probabilities(Guarded(network), [asked(1)])


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([None, 0, 1])), min_size=1, max_size=8))
def test_questions_of_many_tasks_are_answered_together_each_as_its_task_asks(
    asked_for: list[tuple[int, int | None]],
) -> None:
    network = build(Mlp(hidden=(4,)), (1, 4, 4), 3, 0, BY_TASK)
    network.mark_forgotten([2])
    questions = [asked(rows, task, seed) for seed, (rows, task) in enumerate(asked_for)]
    answers = probabilities(Guarded(network), questions)
    with torch.inference_mode():
        expected = [network.probabilities(torch.from_numpy(one.inputs), one.task).numpy() for one in questions]
    np.testing.assert_allclose(answers, np.concatenate(expected), atol=1e-6)


def test_questions_of_many_tasks_take_one_forward_pass() -> None:
    network = build(Mlp(hidden=(4,)), (1, 4, 4), 3, 0, BY_TASK)
    passes: list[int] = []
    network.register_forward_hook(lambda _module, _inputs, logits: passes.append(len(logits)))
    probabilities(Guarded(network), [asked(2, 0), asked(3, 1), asked(1)])
    assert passes == [6]
