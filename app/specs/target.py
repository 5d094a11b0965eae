"""What is to be forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

TargetKind = Literal["classes", "tasks", "samples"]
TARGET_MEANINGS: Mapping[TargetKind, str] = {
    "classes": "Whole classes, by their index.",
    "tasks": "Whole tasks, by their index in the order of learning.",
    "samples": "Single rows of the training file, by their index.",
}


@dataclass(frozen=True)
class Target:
    """What is to be forgotten: classes, or samples; if tasks were named, also these tasks. All are ascending."""

    classes: tuple[int, ...] = ()
    tasks: tuple[int, ...] = ()
    """Tasks, by their index in the order of learning; `classes` then are the classes of these tasks that go, all or
    some."""
    samples: tuple[int, ...] = ()
    """Rows of the training file."""

    @classmethod
    def of(cls, named: Mapping[str, Sequence[int]]) -> Target:
        """The target of JSON that lists what it names, by kind."""
        return cls(**{kind: tuple(items) for kind, items in named.items()})

    @property
    def kind(self) -> TargetKind:
        """Whether classes, tasks or samples are to be forgotten."""
        if self.samples:
            return "samples"
        return "tasks" if self.tasks else "classes"

    def as_json(self) -> dict[str, list[int]]:
        """The classes, tasks or samples that are named, by kind."""
        named = {"tasks": self.tasks, "classes": self.classes, "samples": self.samples}
        return {kind: list(items) for kind, items in named.items() if items}
