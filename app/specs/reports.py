"""What reports tell of a model: measured by the core, kept as JSON, answered by the API. No torch, no pydantic.

The docstring of a class and of each field is its description in the OpenAPI document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

MEASURED_ROWS = 10_000
"""Training rows measured of the forget set and of the retain set, at most, each; the same ones before and after."""

DESCRIBED_BY_DOCSTRINGS = {"use_attribute_docstrings": True}
"""A setting for pydantic: the docstring below each field is its description."""


@dataclass(frozen=True)
class TaskMeasurements:
    """How one task fares on the test set; figures `without_task` are those of requests that do not name the task.

    Null where there is nothing to count.
    """

    __pydantic_config__: ClassVar = DESCRIBED_BY_DOCSTRINGS
    task: int
    classes: list[int]
    accuracy: float | None
    """Inputs of the task's classes not forgotten earlier, answered right."""
    accuracy_without_task: float | None
    retained_accuracy: float | None
    """Inputs of its classes that stay, answered right."""
    retained_accuracy_without_task: float | None
    refusal_rate: float | None
    """Inputs of the task's forgotten classes answered as forgotten."""
    refusal_rate_without_task: float | None
    false_refusal_rate: float | None
    """Inputs of its retained classes answered as forgotten."""
    false_refusal_rate_without_task: float | None


@dataclass(frozen=True)
class Memorisation:
    """How well a trained version tells rows that it learned from rows that it never saw; on at most 3,000 of each."""

    __pydantic_config__: ClassVar = DESCRIBED_BY_DOCSTRINGS
    train_accuracy: float
    """Share of learned rows given their class, all retained classes competing."""
    unseen_accuracy: float
    """Share of calibration rows, to which nothing is fitted, given their class."""
    membership_auc: float
    """Chance that a learned row is answered with more confidence than an unseen one; .5 is none."""
    chance: float
    """Share of calibration rows that always answering the most frequent class would get right, and what chance adds to it."""


@dataclass(frozen=True)
class Measurements:
    """How one version behaves; shares are in 0..1, null where there is nothing to count.

    `before` and `after` of a report use the same forget and retain sets, so that they can be compared.
    """

    __pydantic_config__: ClassVar = DESCRIBED_BY_DOCSTRINGS
    forget_accuracy: float | None
    """Forget training rows given their true class, as served; at most 10,000 rows are measured."""
    retain_accuracy: float | None
    """Retain training rows given their true class, as served; at most 10,000 rows are measured."""
    test_accuracy: float | None
    """Retained-class test inputs answered right, as served."""
    refusal_rate: float | None
    """Forgotten-class test inputs answered as forgotten."""
    false_refusal_rate: float | None
    """Retained-class test inputs answered as forgotten."""
    raw_forget_accuracy: float | None
    """forget_accuracy of the head without the null unit."""
    raw_test_accuracy: float | None
    """test_accuracy of the head without the null unit."""
    per_class_accuracy: list[float | None]
    """Accuracy on the test set as served, by class index."""
    confusion_matrix: list[list[int]]
    """Row: true class. Column: answered class; the last column counts inputs answered as forgotten."""
    sparsity: float
    """Share of parameters that are exactly zero, biases included."""
    refusal_by_class: dict[str, float]
    """Refusal rate on the test inputs of every class forgotten so far, by class index."""
    tasks: list[TaskMeasurements] = field(default_factory=list)
    """Figures by task; empty for models that learn no tasks."""
