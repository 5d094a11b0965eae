from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

from app.unlearning.judging.metrics import METRICS, Metric


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_says_its_range_and_names_a_function_that_exists_and_a_paper(metric: Metric) -> None:
    assert metric.version >= 1
    assert metric.low < metric.high
    assert metric.unit
    assert re.fullmatch(r"arXiv \d{4}\.\d{5}|doi:10\.\d{4,}/\S+", metric.paper)
    module, function = metric.meaning.removesuffix(".").split("; ")[-1].rsplit(".", 1)
    assert callable(getattr(importlib.import_module(f"app.unlearning.judging.{module}"), function))


def test_the_table_is_read_without_torch() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, app.unlearning.judging.metrics; print('torch' in sys.modules)"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.strip() == "False"
