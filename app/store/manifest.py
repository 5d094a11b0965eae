"""The manifest of a version: what it is, what it came from, and the digest of every file beside it.

`manifest.json` is canonical JSON (RFC 8785), so that equal manifests are equal bytes and have equal digests.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.contract.fields import ModelName
from app.contract.models import Forgotten
from app.contract.versions import Origin, VersionMetrics
from app.errors import VersionCorrupted
from app.files import digest_of
from app.specs.architectures import Architecture
from app.specs.claims import Claim
from app.specs.fields import Seed
from app.specs.learning import Learning, Sisa, UnitBlocks
from app.specs.refusing import GuardParameters
from app.specs.training import Training

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
IMPORTANCE = "importance.safetensors"
CHECKPOINTS = "checkpoints.safetensors"
GUARD = "guard.safetensors"
CARD = "README.md"
MAX_MANIFEST_BYTES = 16 * 2**20
"""The most bytes of a manifest, more than any that is written: 1,000 classes have a confusion matrix of about 4 MB."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}\z")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\z")]


class Environment(BaseModel):
    """What a version was computed with; equal seeds give equal bits only where all of this is equal."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    forgettery: str = Field(description="Version of this package.")
    python: str
    torch: str
    threads: int = Field(ge=1, description="Threads torch computed with.")
    cpu_capability: str = Field(description="The instruction set torch chose its kernels for, such as AVX2.")
    platform: str


class Sharded(BaseModel):
    """What a model of learning mode `sisa` was learned with: what `checkpoints.safetensors` holds follows from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    training: Training = Field(description="Its seed decides in which shard and slice each row is.")
    num_rows: int = Field(ge=1, description="Training rows that had a part in the model.")
    first_slices: tuple[int, ...] = Field(
        description="By shard: the first slice with rows, from which on there is a checkpoint after each; "
        "the number of slices where no row is left."
    )


class GuardRecord(BaseModel):
    """The guard beside the classifier; its file may have been deleted since, the version's row says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    classes: list[int] = Field(min_length=1, description="The classes it refuses, ascending.")
    parameters: GuardParameters


class Manifest(BaseModel):
    """Everything needed to load a version, to compute it again, and to see that its files are what was written.

    Fields are never added, removed or changed without a new `format`; every format ever released stays readable.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    format: Literal[1] = 1
    model: ModelName
    number: int = Field(ge=1)
    origin: Origin
    parent: int | None = Field(ge=1, description="Number of the version that this one was made from.")
    parent_digest: Digest | None = Field(description="Digest of the parent's weights.")
    dataset: str = Field(max_length=100)
    data_digest: Digest = Field(description="Digest of the data set's content.")
    split_digest: Digest = Field(description="Digest of which rows are held out for calibration.")
    architecture: Annotated[Architecture, Field(discriminator="type")]
    input_shape: tuple[int, int, int] = Field(description="Channels, height, width.")
    class_names: tuple[str, ...] = Field(min_length=1)
    learning: Annotated[Learning, Field(discriminator="mode")]
    unit_blocks: UnitBlocks = Field(
        default=(),
        description="Of a growing network: by task and hidden layer its first unit and the one after the last.",
    )
    sharded: Sharded | None = Field(default=None, description="Of the learning mode sisa alone.")
    recipe: dict[str, Any] = Field(description="Settings of the training, and of the forget request if there was one.")
    seed: Seed
    forgotten: Forgotten
    guard: GuardRecord | None = Field(default=None, description="Of versions that refuse by a guard.")
    claim: Claim | None
    verification: dict[str, Any] | None = Field(
        default=None, description="Of these weights, when they were made; null for what was trained."
    )
    metrics: VersionMetrics
    environment: Environment
    files: dict[FileName, Digest] = Field(default_factory=dict, description="Every other file; filled in by sealing.")

    @model_validator(mode="after")
    def _parent_with_digest(self) -> Manifest:
        if (self.parent is None) != (self.parent_digest is None):
            raise ValueError("parent and parent_digest are given together or not at all")
        return self

    @model_validator(mode="after")
    def _guard_of_forgotten_classes(self) -> Manifest:
        if self.guard is not None and not set(self.guard.classes) <= set(self.forgotten.classes):
            raise ValueError("a guard is of forgotten classes alone")
        if self.files and (self.guard is None) != (GUARD not in self.files):
            raise ValueError("guard and its file are given together or not at all")
        return self

    @model_validator(mode="after")
    def _sharded_as_it_learns(self) -> Manifest:
        if isinstance(self.learning, Sisa) != (self.sharded is not None):
            raise ValueError("sharded belongs to the learning mode sisa, and is never missing there")
        if isinstance(self.learning, Sisa) and self.sharded is not None:
            first, slices = self.sharded.first_slices, self.learning.slices
            if len(first) != self.learning.shards or not all(0 <= number <= slices for number in first):
                raise ValueError("sharded.first_slices names a slice of each shard")
        return self

    def to_bytes(self) -> bytes:
        """The content of `manifest.json`."""
        return rfc8785.dumps(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """Digest of `manifest.json`: `sha256:` and 64 hex digits."""
        return digest_of(self.to_bytes())

    @property
    def weights_digest(self) -> str:
        """Digest of `model.safetensors`, by which a version is known; only a sealed manifest has it."""
        return self.files[WEIGHTS]


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Read `manifest.json`; raises VersionCorrupted, naming `where`, unless it is a manifest of a known format."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise VersionCorrupted(
            f"{where}/{MANIFEST} cannot be read as a manifest of format 1 ({place}: {first['msg']}); "
            "restore the version's folder from a backup."
        ) from fault
