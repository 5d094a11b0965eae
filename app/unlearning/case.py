"""What every method works on: a version in memory, the data it learned, and what of these is to be forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.specs.claims import Claim
from app.specs.refusing import Refusing
from app.specs.target import Target
from app.unlearning.data import Dataset
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.synaptic_intelligence import Importance
from app.unlearning.partition import Partition
from app.unlearning.refusing.guard import Guard
from app.unlearning.sample_partition import of_samples, without_forgotten


@dataclass(frozen=True)
class Parent:
    """The version to forget from, in memory; nobody changes it."""

    network: Classifier
    importance: Importance = field(default_factory=dict)
    """Importance by task, for each task of a static network that is not wholly forgotten; empty for other networks."""
    guard: Guard | None = None
    """The guard of the version; None if there is none or it was deleted."""
    claim: Claim | None = None
    """What the version claims; None where it has forgotten nothing."""
    pushed: tuple[int, ...] = ()
    """Classes whose own request chose the refusal `push`: how well they are refused may not decay."""
    keeping: Refusing | None = None
    """How classes forgotten earlier are refused again where a request refuses nothing itself; None if no class was
    forgotten."""


@dataclass(frozen=True)
class Case:
    """A version, its data, and which rows of it are to be forgotten and which stay."""

    parent: Parent
    data: Dataset
    """The data set without the samples that are to be forgotten, now or earlier."""
    partition: Partition

    @classmethod
    def of(cls, parent: Parent, data: Dataset, target: Target) -> Case:
        """The case of a target, in data without the samples forgotten earlier; raises what its partition raises."""
        partition = partition_of(parent.network, data, target)
        return cls(parent, without_forgotten(data, partition), partition)

    @property
    def original(self) -> Classifier:
        """The network to forget from."""
        return self.parent.network


def partition_of(network: Classifier, data: Dataset, target: Target) -> Partition:
    """What a target means for a network; `data` holds no row of samples that were forgotten earlier."""
    gone, learned = network.forgotten_classes, network.learned_classes
    if target.samples:
        return of_samples(data, target.samples, earlier_classes=gone, learned=learned)
    return Partition.of(data, target.classes, gone, learned)
