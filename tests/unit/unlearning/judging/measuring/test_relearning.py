from __future__ import annotations

import pytest
import torch

from app.errors import NotApplicable
from app.specs.architectures import Mlp
from app.specs.training import Training
from app.unlearning.context import Cancelled, Context
from app.unlearning.judging.measuring.relearning import Images, Relearning, anamnesis_index, relearn
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs, everything, fitted, same_bits

DATA = blobs()
PARTITION = Partition.of(DATA, [2])
FORGET, RETAIN = (
    Images(DATA.train_images[rows], DATA.train_labels[rows])
    for rows in (PARTITION.train.forget[:40], PARTITION.train.retain)
)
JUDGED = Images(DATA.test_images[PARTITION.test.forget], DATA.test_labels[PARTITION.test.forget])


def retrained(seed: int) -> Classifier:
    model = build(Mlp(hidden=(32,)), DATA.input_shape, 4, seed)
    model.mark_forgotten([2])
    fit(model, DATA, PARTITION.train.retain, Training(epochs=6, batch_size=32, seed=seed), Context())
    return model


def relearned(model: Classifier, *, seed: int = 0, max_steps: int = 80, context: Context | None = None) -> Relearning:
    return relearn(
        model, FORGET, RETAIN, JUDGED,
        original_accuracy=1.0, seed=seed, context=context or Context(), max_steps=max_steps,
    )  # fmt: skip


def zeroed_row() -> Classifier:
    model = fitted(DATA)
    model.mark_forgotten([2])
    with torch.no_grad():
        model.head.weight[2] = 0
        model.head.bias[2] = 0
    return model


def test_what_was_only_masked_is_known_at_once() -> None:
    model = fitted(DATA)
    model.mark_forgotten([2])
    assert relearned(model).steps == 0


def test_a_zeroed_row_comes_back_sooner_than_a_retrained_model_learns_the_class() -> None:
    references = [relearned(retrained(seed)) for seed in (1, 2, 3, 4)]
    index = anamnesis_index(relearned(zeroed_row()), references)
    assert index.value < 0.3
    assert not index.at_least
    passed = anamnesis_index(relearned(retrained(6)), references)
    assert 0.5 < passed.value < 2


def test_the_curve_starts_before_the_first_step_and_ends_where_the_target_is_reached() -> None:
    found = relearned(retrained(1))
    assert found.steps == len(found.curve) - 1
    assert found.curve[0] < 0.1
    assert found.curve[-1] >= 0.9
    assert max(found.curve[:-1]) < 0.9


def test_a_model_that_does_not_relearn_in_time_has_no_number_of_steps() -> None:
    found = relearned(retrained(1), max_steps=2)
    assert found.steps is None
    assert len(found.curve) == 3


def test_the_model_and_the_global_generator_are_left_as_they_were_and_the_same_seed_gives_the_same_curve() -> None:
    model = retrained(1)
    before, state = everything(model), torch.get_rng_state()
    first, second, other = relearned(model), relearned(model), relearned(model, seed=1)
    assert first == second
    assert first != other
    untouched = build(Mlp(hidden=(32,)), DATA.input_shape, 4, 0)
    untouched.load_state_dict(before)
    assert same_bits(model, untouched)
    assert torch.equal(torch.get_rng_state(), state)


def test_relearning_can_be_cancelled() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        relearned(retrained(1), context=Context(check=check))


def test_the_index_is_a_lower_bound_where_the_unlearned_model_never_relearned() -> None:
    never, ten, twenty = Relearning(None, (0.0,) * 31), Relearning(10, (0.0,) * 11), Relearning(20, (0.0,) * 21)
    found = anamnesis_index(never, [ten, twenty])
    assert found.value == pytest.approx(31 / 15)
    assert found.at_least
    assert anamnesis_index(ten, [ten]).value == 1
    for references in ([], [never], [ten, Relearning(0, (1.0,))]):
        with pytest.raises(NotApplicable):
            anamnesis_index(ten, references)


def test_nothing_is_relearned_without_images_or_knowledge_to_regain() -> None:
    none = Images(FORGET.images[:0], FORGET.labels[:0])
    for forget, retain, judged, accuracy in (
        (none, RETAIN, JUDGED, 1.0),
        (FORGET, none, JUDGED, 1.0),
        (FORGET, RETAIN, none, 1.0),
        (FORGET, RETAIN, JUDGED, 0.0),
    ):
        with pytest.raises(NotApplicable):
            relearn(retrained(1), forget, retain, judged, original_accuracy=accuracy, seed=0, context=Context())
