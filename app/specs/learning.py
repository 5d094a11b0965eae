"""How a network can learn: all at once, task by task, or in shards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le, Len, Lt

from app.specs.architectures import Architecture, Cnn, Torchvision, hidden_widths
from app.specs.fields import STRICT, Width, required

Task = Annotated[tuple[Annotated[int, Ge(0), Lt(2**31)], ...], Len(1)]
"""The classes, by index, that are learned together."""
Tasks = Annotated[tuple[Task, ...], Len(0, 1000)]


@dataclass(frozen=True)
class Standard:
    """All classes are learned together."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    mode: Literal["standard"] = "standard"
    tasks: ClassVar[Tasks] = ()


@dataclass(frozen=True)
class SynapticIntelligence:
    """Tasks one after the other in one network, weights held by their importance to earlier tasks (Zenke et al. 2017)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = required("mode")
    mode: Literal["synaptic_intelligence"] = "synaptic_intelligence"
    tasks: Tasks = ()
    """The classes of each task, in the order of learning; empty: every two classes in their order."""
    c: Annotated[float, Ge(0), Le(1e6)] = 1.0
    """Strength of the surrogate loss that holds weights where they were."""
    xi: Annotated[float, Ge(1e-12), Le(1e6)] = 1e-3
    """Added to the squared change by which importance is divided."""


@dataclass(frozen=True)
class Progressive:
    """Tasks one after the other, each with units of its own; those of earlier tasks are frozen (Rusu et al. 2016)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = required("mode")
    mode: Literal["progressive"] = "progressive"
    tasks: Tasks = ()
    """The classes of each task, in the order of learning; empty: every two classes in their order."""
    growth: Annotated[tuple[Width, ...], Len(0, 8)] = ()
    """Units that each further task adds to each hidden layer, in their order; empty: as many as the first task has."""


@dataclass(frozen=True)
class Sisa:
    """All classes together, by networks that each learn rows of their own and answer together (Bourtoule et al. 2021)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = required("mode")
    mode: Literal["sisa"] = "sisa"
    tasks: ClassVar[Tasks] = ()
    shards: Annotated[int, Ge(1), Le(100)] = 5
    """Networks, each of which learns rows of its own."""
    slices: Annotated[int, Ge(1), Le(100)] = 3
    """Parts of each shard that are learned one after the other, with a checkpoint after each."""


Learning = Standard | SynapticIntelligence | Progressive | Sisa
Mode = Literal["standard", "synaptic_intelligence", "progressive", "sisa"]
MODE_MEANINGS: Mapping[Mode, str] = {
    "standard": "One network learns all classes together.",
    "synaptic_intelligence": "One network learns task by task; weights that matter to earlier tasks are held.",
    "progressive": "The network grows by units for each task; the units of earlier tasks are frozen.",
    "sisa": "Several networks, each of which learns rows of its own, answer together.",
}
UnitBlocks = tuple[tuple[tuple[int, int], ...], ...]
"""The units of each task, by hidden layer from the input to the output: the first unit, and the one after the last."""


def full_grown(architecture: Architecture, learning: Learning) -> Architecture:
    """The architecture with the units of all tasks: the one asked for, wider by the growth of each further task."""
    if not isinstance(learning, Progressive) or isinstance(architecture, Torchvision):
        return architecture
    first = hidden_widths(architecture)
    growth, further = learning.growth or first, max(len(learning.tasks) - 1, 0)
    widths = tuple(width + further * added for width, added in zip(first, growth, strict=True))
    if isinstance(architecture, Cnn):
        return replace(architecture, channels=widths[:-1], hidden=widths[-1])
    return replace(architecture, hidden=widths)


def unit_blocks(architecture: Architecture, learning: Learning) -> UnitBlocks:
    """Which hidden units of a growing network belong to which task; empty for networks that do not grow."""
    if not isinstance(learning, Progressive) or isinstance(architecture, Torchvision):
        return ()
    first = hidden_widths(architecture)
    growth = learning.growth or first
    starts = [(0,) * len(first)]
    starts += [
        tuple(width + task * added for width, added in zip(first, growth, strict=True))
        for task in range(len(learning.tasks))
    ]
    return tuple(tuple(zip(low, high, strict=True)) for low, high in pairwise(starts))


def forgotten_tasks(tasks: Iterable[Iterable[int]], forgotten: Collection[int]) -> list[int]:
    """The tasks, by index, all of whose classes are forgotten."""
    return [index for index, classes in enumerate(tasks) if all(number in forgotten for number in classes)]
