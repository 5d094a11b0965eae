"""The published set-ups for forgetting tasks, as published; then the product on the same tasks."""

from benchmarks.study import Study

STUDY = Study(
    "reproduction",
    "forgetting a task as the published notebooks did it, and then with the product, and what learning tasks costs",
    "docs/reproduction.md, docs/figures/tasks.svg and docs/benchmarks/reproduction.json",
    minutes=60,
    gibibytes=1.2,
    notes="A run's figures take the place of those of the same part and seeds; the page is of all that are there.",
)
