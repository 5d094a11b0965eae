from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from pydantic import TypeAdapter

from app.contract.versions import VersionMetrics
from app.specs.architectures import Mlp
from app.specs.reports import Measurements
from app.unlearning.judging.measurements import answers, measure, sparsity, version_metrics, weights_changed
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs, fitted

DATA = blobs(rows=400)


def constant(logits: list[float], *forgotten: int, null_bias: float = 0.0) -> Classifier:
    """A model that gives every image these logits."""
    model = build(Mlp(hidden=(4,)), DATA.input_shape, 4, seed=0)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor(logits))
        model.null_bias.fill_(null_bias)
    model.mark_forgotten(forgotten)
    return model


def test_a_model_that_always_answers_one_class_is_measured_as_such() -> None:
    found = measure(constant([0, 0, 5, 0]), DATA, Partition.of(DATA, [2]))
    assert (found.forget_accuracy, found.raw_forget_accuracy) == (1.0, 1.0)
    assert (found.retain_accuracy, found.test_accuracy, found.raw_test_accuracy) == (0.0, 0.0, 0.0)
    assert (found.refusal_rate, found.false_refusal_rate) == (0.0, 0.0)
    assert found.per_class_accuracy == [0.0, 0.0, 1.0, 0.0]
    assert found.refusal_by_class == {"2": 0.0}
    assert found.confusion_matrix == [[0, 0, 50, 0, 0]] * 4


def test_a_forgotten_answer_never_counts_as_right_for_class_zero_neither() -> None:
    found = measure(constant([5, 0, -1, -1], 0, null_bias=1.0), DATA, Partition.of(DATA, [0]))
    assert (found.forget_accuracy, found.refusal_rate, found.false_refusal_rate) == (0.0, 1.0, 1.0)
    assert found.raw_forget_accuracy == 1.0
    assert found.confusion_matrix == [[0, 0, 0, 0, 50]] * 4


def test_a_tie_of_the_raw_head_is_no_answer() -> None:
    found = measure(constant([0, 0, -1, -1], 0, 1, null_bias=-2.0), DATA, Partition.of(DATA, [0], [1]))
    assert found.raw_forget_accuracy == 0.0
    assert found.refusal_by_class == {"0": 0.0, "1": 0.0}
    assert found.per_class_accuracy == [0.0, 0.0, 1.0, 0.0]


def test_a_retained_answer_as_high_as_the_null_unit_wins() -> None:
    found = measure(constant([9, 0, -1, -1], 0, null_bias=0.0), DATA, Partition.of(DATA, [0]))
    assert found.refusal_rate == 0.0


def test_sparsity_counts_exact_zeros_of_weights_and_biases() -> None:
    model = build(Mlp(hidden=(4,)), (1, 2, 2), 3, seed=0)  # 4 * 4 + 4 + 3 * 4 + 3 = 35 values
    with torch.no_grad():
        model.head.weight[1].zero_()
        model.head.bias[1] = 0
    assert sparsity(model) == pytest.approx(5 / 35)


def test_changed_weights_are_counted_by_tensor() -> None:
    first, second = (build(Mlp(hidden=(4,)), (1, 2, 2), 3, seed=0) for _ in range(2))
    with torch.no_grad():
        second.head.bias[1] += 1
    assert weights_changed(first, second) == {
        "body.1.weight": 0,
        "body.1.bias": 0,
        "head.weight": 0,
        "head.bias": 1,
    }


def test_measuring_twice_measures_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.unlearning.judging.measurements.MEASURED_ROWS", 10)
    model = fitted(DATA, epochs=1)
    assert measure(model, DATA, Partition.of(DATA, [1])) == measure(model, DATA, Partition.of(DATA, [1]))


def test_measurements_are_those_of_the_wire_contract() -> None:
    model = fitted(DATA, epochs=1)
    found = asdict(measure(model, DATA, Partition.of(DATA, [1])))
    wire = TypeAdapter(Measurements)
    assert wire.dump_python(wire.validate_python(found)) == found
    of_learning = {"accuracy_matrix": None, "average_forgetting": None, "backward_transfer": None}
    metrics = {**asdict(version_metrics(model, DATA)), **of_learning, "training_seconds": 1.0}
    assert VersionMetrics.model_validate(metrics).model_dump() == metrics


def test_the_confusion_matrix_counts_every_test_image_once() -> None:
    found = answers(fitted(DATA), DATA.test_images, DATA.test_labels, torch.arange(200)).confusion_matrix()
    assert [sum(row) for row in found] == [50, 50, 50, 50]
