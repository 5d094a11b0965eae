"""Every unlearning method beside the original and retrained models: what it forgets, what it costs, what may be claimed."""

from benchmarks.study import Study

STUDY = Study(
    "methods",
    "every unlearning method beside the original and retrained models, of one class, two classes and samples",
    "a JSON file a cell into --out; with --write, docs/methods.md and docs/benchmarks/methods.json from such a folder",
    minutes=130,
    gibibytes=1.5,
    notes="A run that was cut goes on where it was. No threshold or number of steps is chosen on test images.",
)
