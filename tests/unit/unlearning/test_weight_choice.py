from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import NotApplicable
from app.specs.architectures import Torchvision
from app.specs.learning import Progressive, SynapticIntelligence, Tasks
from app.specs.methods.edit import EditSettings, Selection
from app.unlearning.case import Case, Parent
from app.unlearning.context import Context
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.growing import owners
from app.unlearning.learning.synaptic_intelligence import Importance
from app.unlearning.methods.importance import hidden_weights
from app.unlearning.methods.weight_choice import Choice, choose_weights
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs, fitted, learned

TASKS: Tasks = ((0, 1), (2, 3), (4, 5))
DATA = blobs(num_classes=6, rows=480)
STATIC = learned(DATA, SynapticIntelligence(tasks=TASKS))
GROWING = learned(DATA, Progressive(tasks=TASKS)).model
LAYER = "body.1.weight"


def choose(
    model: Classifier,
    *classes: int,
    importance: Importance | None = None,
    share: float = 0.1,
    threshold: float = 0.5,
    selection: Selection = "importance",
    earlier: Sequence[int] = (),
) -> Choice:
    partition = Partition.of(DATA, classes, earlier, model.learned_classes)
    settings = EditSettings(share=share, threshold=threshold, selection=selection)
    held = STATIC.importance if importance is None else importance
    return choose_weights(Case(Parent(model, held), DATA, partition), settings, Context(), seed=0)


def own_share(task: int, *forgotten: int) -> torch.Tensor:
    """The task's share of each weight's importance, among it and the tasks that are not forgotten."""
    counted = [number for number in range(3) if number == task or number not in forgotten]
    return STATIC.importance[task][LAYER] / sum(STATIC.importance[number][LAYER] for number in counted)


@settings(max_examples=30)
@given(st.integers(0, 2), st.floats(0, 1), st.floats(0, 1), st.sampled_from(get_args(Selection)))
def test_of_a_task_in_a_static_network_only_weights_mostly_its_own_are_chosen(
    task: int, share: float, threshold: float, selection: Selection
) -> None:
    chosen = choose(STATIC.model, *TASKS[task], share=share, threshold=threshold, selection=selection).positions[LAYER]
    own = own_share(task).flatten()
    assert bool((own[chosen] >= threshold).all())
    assert len(chosen) <= round(share * len(own))
    assert len(set(chosen.tolist())) == len(chosen)


def test_weights_of_a_task_are_ranked_by_its_importance_against_that_of_the_others() -> None:
    chosen = choose(STATIC.model, 2, 3, share=0.05, threshold=0.0).positions[LAYER]
    mine = STATIC.importance[1][LAYER].flatten()
    others = (STATIC.importance[0][LAYER] + STATIC.importance[2][LAYER]).flatten()
    ratio = mine / (others + 0.1 * others.mean())
    rest = torch.ones_like(ratio, dtype=torch.bool)
    rest[chosen] = False
    assert len(chosen) == round(0.05 * len(ratio))
    assert ratio[chosen].min() >= ratio[rest].max()


def test_importance_of_tasks_that_are_forgotten_protects_nothing() -> None:
    model = deepcopy(STATIC.model)
    model.mark_forgotten([0, 1])
    left = {task: held for task, held in STATIC.importance.items() if task != 0}
    chosen = choose(model, 2, 3, earlier=[0, 1], importance=left, share=1).positions[LAYER]
    assert bool((own_share(1, 0).flatten()[chosen] >= 0.5).all())
    assert len(chosen) > len(choose(STATIC.model, 2, 3, share=1).positions[LAYER])


def test_tasks_forgotten_together_do_not_protect_each_other() -> None:
    chosen = choose(STATIC.model, 0, 1, 2, 3, share=1).positions[LAYER]
    own = [(own_share(task, 0, 1) >= 0.5).flatten().nonzero().flatten().tolist() for task in (0, 1)]
    assert set(chosen.tolist()) == {*own[0], *own[1]}
    assert len(chosen) > len(set(choose(STATIC.model, 0, 1, share=1).positions[LAYER].tolist()))


def test_for_a_part_of_a_task_the_ratio_of_its_classes_ranks_not_the_importance_of_the_task() -> None:
    whole, first, second = (
        set(choose(STATIC.model, *classes, share=0.02).positions[LAYER].tolist()) for classes in ((2, 3), (2,), (3,))
    )
    assert len({frozenset(found) for found in (whole, first, second)}) == 3


@settings(max_examples=15)
@given(st.integers(0, 2), st.floats(0, 1), st.booleans())
def test_of_a_task_in_a_growing_network_only_its_own_block_is_chosen(task: int, share: float, part: bool) -> None:  # noqa: FBT001  drawn
    classes = TASKS[task][:1] if part else TASKS[task]
    chosen = choose(GROWING, *classes, share=share).positions[LAYER]
    block = (owners(GROWING)[LAYER] == task).flatten()
    assert bool(block[chosen].all())
    assert len(chosen) <= round(share * int(block.sum()))


@pytest.mark.parametrize("model", [STATIC.model, GROWING])
def test_of_several_tasks_each_has_its_own_choice(model: Classifier) -> None:
    both = choose(model, 0, 1, 4, share=0.03).positions[LAYER]
    limit = round(0.03 * model.get_parameter(LAYER).numel())
    assert len(set(both.tolist())) == len(both)
    assert 0 < len(both) <= 2 * limit
    if model is GROWING:
        assert set(owners(model)[LAYER].flatten()[both].tolist()) == {0, 2}


def test_the_last_class_of_a_task_still_has_weights_of_its_own() -> None:
    model = deepcopy(GROWING)
    model.mark_forgotten([2])
    assert len(choose(model, 3, earlier=[2]).positions[LAYER])


@pytest.mark.parametrize("model", [STATIC.model, GROWING, fitted(DATA, epochs=1)])
def test_the_histogram_counts_every_weight_that_has_importance(model: Classifier) -> None:
    choice = choose(model, 2, 3, share=0.01)
    assert set(choice.importance_histogram) == set(choice.positions) == set(hidden_weights(model))
    bins = choice.importance_histogram[LAYER]
    assert len(bins) == 10
    assert len(choice.positions[LAYER]) <= sum(bins) <= model.get_parameter(LAYER).numel()
    if model is GROWING:
        assert sum(bins) <= int((owners(model)[LAYER] == 1).sum())
    if model is STATIC.model:
        share = own_share(1)
        assert bins[9] == int((share >= 0.9).sum())
        assert sum(bins) == int((~share.isnan()).sum())


def test_at_scope_output_nothing_is_chosen() -> None:
    partition = Partition.of(DATA, [2, 3])
    case = Case(Parent(STATIC.model), DATA, partition)
    assert choose_weights(case, EditSettings(scope="output"), Context(), seed=0) == Choice({}, {})


def test_a_task_whose_importance_is_not_known_is_forgotten_at_scope_output_alone() -> None:
    with pytest.raises(NotApplicable, match="importance of task 1"):
        choose(STATIC.model, 2, importance={0: STATIC.importance[0]})


def test_networks_of_torchvision_have_importance_too() -> None:
    data = blobs(num_classes=6, rows=120)
    result = learned(data, SynapticIntelligence(tasks=TASKS), Torchvision("shufflenet_v2_x0_5"), tasks=[0, 1])
    chosen = choose(result.model, 2, 3, importance=result.importance)
    assert all(len(positions) for positions in chosen.positions.values())
