from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.predictor.batching import Batches, Question
from app.predictor.protocol import LARGEST_FORWARD
from app.specs import Mlp
from app.unlearning.architectures import build

VERSIONS = {digest: build(Mlp(hidden=()), (1, 1, 1), 2, seed=0) for digest in "abc"}
ASKED = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, LARGEST_FORWARD)), max_size=60)


def put(batches: Batches, number: int, digest: str, rows: int) -> None:
    batches.put(Question(number, digest, np.zeros((rows, 1, 1, 1), np.float32)), VERSIONS[digest])


@given(ASKED)
def test_every_question_is_computed_once_in_order_with_its_own_version_and_within_the_limit(
    asked: list[tuple[str, int]],
) -> None:
    batches = Batches()
    for number, (digest, rows) in enumerate(asked):
        put(batches, number, digest, rows)
    taken: list[Question] = []
    while batches:
        version, questions = batches.take()
        assert {question.digest for question in questions} == {
            digest for digest, network in VERSIONS.items() if network is version
        }
        assert sum(len(question.inputs) for question in questions) <= LARGEST_FORWARD
        taken += questions
    assert Counter(question.id for question in taken) == Counter(range(len(asked)))
    for digest in "abc":
        numbers = [question.id for question in taken if question.digest == digest]
        assert numbers == sorted(numbers)


def test_versions_take_turns_however_much_is_asked_of_one() -> None:
    batches = Batches()
    for number in range(10):
        put(batches, number, "a", LARGEST_FORWARD)
    put(batches, 10, "b", 1)
    batches.take()
    _, questions = batches.take()
    assert [question.id for question in questions] == [10]
