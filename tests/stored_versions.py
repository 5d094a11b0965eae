"""Real versions, small and untrained, in a store and in a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import torch
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.contract.models import Forgotten
from app.contract.versions import VersionMetrics
from app.database.engine import Database
from app.database.tables import ModelRow, VersionRow
from app.prediction.protocol import VersionKey
from app.specs.architectures import Mlp
from app.specs.learning import Learning, SynapticIntelligence, forgotten_tasks
from app.store import weights
from app.store.manifest import WEIGHTS, Environment, Manifest
from app.store.versions import VersionStore
from app.unlearning.learning.architectures import STANDARD, Classifier, build

INPUT_SHAPE = (1, 4, 4)
CLASS_NAMES = ("zero", "one", "two")
BY_TASK = SynapticIntelligence(tasks=((2, 0), (1,)))
METRICS = VersionMetrics(
    test_accuracy=1.0,
    per_class_accuracy=[1.0, 1.0, 1.0],
    confusion_matrix=[],
    sparsity=0.0,
    num_parameters=1,
    training_seconds=0.0,
)
_ENVIRONMENT = Environment(forgettery="0", python="3", torch="2", threads=1, cpu_capability="any", platform="any")


@dataclass(frozen=True)
class StoredVersion:
    """A version and the network it was made of."""

    model: str
    number: int
    digest: str
    network: Classifier
    manifest: Manifest

    @property
    def key(self) -> VersionKey:
        """What the predictor is asked for."""
        return VersionKey(self.model, self.number, self.digest, self.manifest.digest)


def store_version(
    home: Path,
    *,
    model: str = "digits",
    number: int = 1,
    forgotten: tuple[int, ...] = (),
    hidden: tuple[int, ...] = (8,),
    input_shape: tuple[int, int, int] = INPUT_SHAPE,
    seed: int | None = None,
    learning: Learning = STANDARD,
) -> StoredVersion:
    """Publish a version whose weights depend on its model and number, unless there is a seed."""
    store = VersionStore(home)
    architecture = Mlp(hidden=hidden)
    seed = number + sum(model.encode()) if seed is None else seed
    network = build(architecture, input_shape, len(CLASS_NAMES), seed, learning)
    network.mark_forgotten(forgotten)
    network.null_bias.fill_(0.05)
    if learning.tasks:
        network.task_null_biases.fill_(0.1)
    staged = store.stage(uuid4().hex)
    digest = weights.save(network, staged / WEIGHTS)
    manifest = Manifest(
        model=model,
        number=number,
        origin="trained",
        parent=None,
        parent_digest=None,
        dataset="mnist",
        data_digest=f"sha256:{0:064x}",
        split_digest=f"sha256:{0:064x}",
        architecture=architecture,
        input_shape=input_shape,
        class_names=CLASS_NAMES,
        learning=learning,
        recipe={},
        seed=0,
        forgotten=Forgotten(classes=list(forgotten), tasks=forgotten_tasks(learning.tasks, forgotten)),
        claim=None,
        metrics=METRICS,
        environment=_ENVIRONMENT,
    )
    sealed = store.seal(staged, manifest)
    store.publish(staged, model, number)
    return StoredVersion(model, number, digest, network, sealed)


def record_model(database: Database, name: str = "digits") -> UUID:
    """A model without versions."""
    model_id = uuid4()
    with database.writing() as session:
        session.add(
            ModelRow(
                id=model_id,
                name=name,
                dataset="mnist",
                architecture={"type": "mlp"},
                learning={"mode": "standard"},
                training={},
                created_at=datetime.now(UTC),
            )
        )
    return model_id


def record_version(database: Database, model_id: UUID, version: StoredVersion, *, serve: bool = True) -> None:
    """The row of a stored version, serving unless told otherwise."""
    with database.writing() as session:
        session.add(
            VersionRow(
                model_id=model_id,
                number=version.number,
                state="available",
                origin="trained",
                digest=version.digest,
                manifest_digest=version.manifest.digest,
                forgotten=version.manifest.forgotten,
                metrics=METRICS,
                manifest=version.manifest.model_dump(mode="json"),
                created_at=datetime.now(UTC),
            )
        )
        session.flush()
        if serve:
            move_serving(session, model_id, version.number)


def move_serving(session: Session, model_id: UUID, number: int) -> None:
    """Point the model at a version."""
    session.execute(update(ModelRow).where(ModelRow.id == model_id).values(serving_version=number))


def set_state(session: Session, model_id: UUID, number: int, state: str) -> None:
    """Quarantine or purge a version in the database."""
    session.execute(
        update(VersionRow).where(VersionRow.model_id == model_id, VersionRow.number == number).values(state=state)
    )


def inputs(rows: int, seed: int = 0, input_shape: tuple[int, int, int] = INPUT_SHAPE) -> torch.Tensor:
    """Random inputs float32 [rows, C, H, W] in 0..1."""
    return torch.rand((rows, *input_shape), generator=torch.Generator().manual_seed(seed))
