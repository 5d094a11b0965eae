from __future__ import annotations

import pytest
import torch

from app.errors import NotApplicable
from app.specs.methods.salun import SalunParameters
from app.unlearning.case import Case, Parent
from app.unlearning.judging.measurements import weights_changed
from app.unlearning.methods import METHODS
from app.unlearning.methods.salun import salient, wrong_labels
from app.unlearning.partition import Partition
from app.unlearning.sample_partition import of_samples
from tests.oracles import loop_gradients
from tests.unit.unlearning.blobs import blobs, fitted
from tests.unit.unlearning.methods.settings import CONTEXT

DATA = blobs(rows=400)
MODEL = fitted(DATA)
PARTITION = Partition.of(DATA, [1])


def test_only_salient_weights_change() -> None:
    parameters = SalunParameters(learning_rate=0.001, share=0.1, steps=20)
    result = METHODS["salun"].run(Case(Parent(MODEL), DATA, PARTITION), parameters, CONTEXT, seed=3)
    masks = salient(MODEL, DATA, PARTITION.train.forget, 0.1, CONTEXT)
    for (name, before), mask in zip(MODEL.named_parameters(), masks, strict=True):
        changed = before != result.model.get_parameter(name)
        if name.startswith("head"):
            changed[1] = False  # struck
        assert not (changed & (mask == 0)).any()
    assert weights_changed(MODEL, result.model)["body.1.weight"] > 0


def test_the_steepest_share_of_all_parameters_together_is_salient() -> None:
    rows = PARTITION.train.forget
    masks = salient(MODEL, DATA, rows, 0.25, CONTEXT)
    sums = [
        gradients.sum(dim=0)
        for gradients in loop_gradients(MODEL, DATA.train_images[rows], DATA.train_labels[rows]).values()
    ]
    values = sorted((abs(value) for total in sums for value in total.flatten().tolist()), reverse=True)
    threshold = values[round(0.25 * len(values)) - 1]
    assert sum(int(mask.sum()) for mask in masks) == round(0.25 * len(values))
    assert len({round(float(mask.mean()), 2) for mask in masks}) > 1  # not the same share of each
    for mask, total in zip(masks, sums, strict=True):
        assert mask.shape == total.shape
        assert bool((total.abs()[mask == 1] >= threshold * 0.99).all())
        assert bool((total.abs()[mask == 0] <= threshold * 1.01).all())


def test_wrong_labels_are_retained_classes_and_never_the_right_one() -> None:
    for partition, expected in (
        (Partition.of(DATA, [1], earlier=[3]), {0, 2}),
        (of_samples(DATA, list(range(1, 120))), {0, 1, 2, 3}),
    ):
        rows = partition.train.forget
        labels = wrong_labels(DATA, partition, seed=0)
        assert not (labels[rows] == DATA.train_labels[rows]).any()
        assert set(labels[rows].tolist()) == expected
        others = torch.ones(len(labels), dtype=torch.bool)
        others[rows] = False
        assert torch.equal(labels[others], DATA.train_labels[others])


def test_with_one_class_left_there_is_no_wrong_label_of_its_samples() -> None:
    samples = DATA.train_rows[DATA.train_labels[DATA.train_rows] == 0][:3].tolist()
    partition = of_samples(DATA, samples, earlier_classes=[1, 2, 3])
    with pytest.raises(NotApplicable, match="single class"):
        wrong_labels(DATA, partition, seed=0)
    assert set(wrong_labels(DATA, Partition.of(DATA, [0, 1, 2]), seed=0).tolist()) == {0, 1, 2, 3}
