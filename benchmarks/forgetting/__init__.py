"""Forgetting by default, over seeds, classes and settings."""

from benchmarks.study import Study

STUDY = Study(
    "forgetting",
    "refusal, false refusals, retained accuracy and time of forget requests, over seeds, classes and settings",
    "docs/benchmarks/forgetting.md and forgetting.json, anew after every seed",
    minutes=250,
    gibibytes=1.5,
    notes="Figures are of the test set, which decides nothing.",
)
