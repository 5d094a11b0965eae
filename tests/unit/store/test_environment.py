from __future__ import annotations

import platform

import pytest

from app.store.environment import describe, differences


def test_a_process_differs_in_nothing_from_itself() -> None:
    assert differences(describe(), describe()) == []


def test_the_machine_is_named_by_its_processor_and_not_by_its_kernel() -> None:

    assert platform.machine() in describe().platform
    assert platform.release() not in describe().platform
    assert not describe().platform.endswith(", unnamed processor")


@pytest.mark.parametrize(
    ("field", "then", "says"),
    [
        ("forgettery", "0.0", "Forgettery 0.0, here "),
        ("python", "3.0", "Python 3.0, here "),
        ("torch", "1.0", "torch 1.0, here "),
        ("threads", 99, "threads 99, here "),
        ("cpu_capability", "MMX", "instruction set MMX, here "),
        ("platform", "an abacus", "machine an abacus, here "),
    ],
)
def test_everything_that_decides_bits_is_compared_and_named(field: str, then: object, says: str) -> None:
    (found,) = differences(describe().model_copy(update={field: then}), describe())
    assert found.startswith(says)
