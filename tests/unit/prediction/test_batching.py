from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.prediction.batching import Batches, Question
from app.prediction.protocol import LARGEST_FORWARD, VersionKey
from app.specs.architectures import Mlp
from app.unlearning.learning.architectures import build
from app.unlearning.refusing.guard import Guarded

VERSIONS = {
    VersionKey(model, number, "sha256:ab", "sha256:cd"): Guarded(build(Mlp(hidden=()), (1, 1, 1), 2, seed=0))
    for model, number in [("a", 1), ("a", 2), ("b", 1)]
}
KEYS = list(VERSIONS)
ASKED = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, LARGEST_FORWARD)), max_size=60)


def put(batches: Batches, number: int, key: VersionKey, rows: int) -> None:
    batches.put(Question(number, key, np.zeros((rows, 1, 1, 1), np.float32)), VERSIONS[key])


@given(ASKED)
def test_every_question_is_computed_once_in_order_with_its_own_version_and_within_the_limit(
    asked: list[tuple[VersionKey, int]],
) -> None:
    batches = Batches()
    for number, (key, rows) in enumerate(asked):
        put(batches, number, key, rows)
    taken: list[Question] = []
    while batches:
        version, questions = batches.take()
        assert {question.version for question in questions} == {
            key for key, network in VERSIONS.items() if network is version
        }
        assert sum(len(question.inputs) for question in questions) <= LARGEST_FORWARD
        taken += questions
    assert Counter(question.id for question in taken) == Counter(range(len(asked)))
    for key in KEYS:
        numbers = [question.id for question in taken if question.version == key]
        assert numbers == sorted(numbers)


def test_versions_take_turns_however_much_is_asked_of_one() -> None:
    batches = Batches()
    for number in range(10):
        put(batches, number, KEYS[0], LARGEST_FORWARD)
    put(batches, 10, KEYS[1], 1)
    batches.take()
    _, questions = batches.take()
    assert [question.id for question in questions] == [10]
