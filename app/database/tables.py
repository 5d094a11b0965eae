"""The whole schema. Statuses, states and events are those of `app.contract`; times are UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import PlainSerializer, TypeAdapter
from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.contract.forgetting import PARAMETERS, Method
from app.contract.models import Forgotten
from app.contract.verifying import Depth, Reference
from app.contract.versions import VersionMetrics
from app.database.types import JsonOf, UtcDateTime
from app.specs.architectures import Architecture
from app.specs.claims import Claim
from app.specs.learning import Learning
from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.edit import Scope, Strategy
from app.specs.originator import Originator
from app.specs.refusing import GuardParameters, Refusal
from app.specs.request import ForgetSpec
from app.specs.target import Target
from app.specs.training import Training

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
ArchitectureJson = JsonOf(TypeAdapter(Architecture))
LearningJson = JsonOf(TypeAdapter(Learning))
TrainingJson = JsonOf(TypeAdapter(Training))
GuardJson = JsonOf(TypeAdapter(GuardParameters))
ForgottenJson = JsonOf(TypeAdapter(Forgotten))
MetricsJson = JsonOf(TypeAdapter(VersionMetrics))
TargetJson = JsonOf(TypeAdapter(Annotated[Target, PlainSerializer(Target.as_json)]))
BigKey = BigInteger().with_variant(Integer(), "sqlite")


class Table(DeclarativeBase):
    """Base of all tables; constraints get the names that migrations refer to."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy's own declaration
        datetime: UtcDateTime(),
        dict[str, Any]: Json,
        list[str]: Json,
        list[int]: Json,
        UUID: Uuid(),
        bytes: LargeBinary(),
    }


class ModelRow(Table):
    """A model. A deleted one keeps its row, so that its name is never used again."""

    __tablename__ = "model"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    dataset: Mapped[str] = mapped_column(String(100))
    architecture: Mapped[Architecture] = mapped_column(ArchitectureJson)
    learning: Mapped[Learning] = mapped_column(LearningJson)
    training: Mapped[Training] = mapped_column(TrainingJson)
    serving_version: Mapped[int | None]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class VersionRow(Table):
    """An immutable version; only its state goes on: available, quarantined, purged."""

    __tablename__ = "version"
    __table_args__ = (Index("ix_version_state_quarantined_at", "state", "quarantined_at"),)
    model_id: Mapped[UUID] = mapped_column(ForeignKey("model.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(20))
    origin: Mapped[str] = mapped_column(String(20))
    parent: Mapped[int | None]
    digest: Mapped[str] = mapped_column(String(71))
    manifest_digest: Mapped[str] = mapped_column(String(71))
    forgotten: Mapped[Forgotten] = mapped_column(ForgottenJson)
    claim: Mapped[Claim | None] = mapped_column(String(20))
    metrics: Mapped[VersionMetrics] = mapped_column(MetricsJson)
    manifest: Mapped[dict[str, Any]]
    forget_request_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    quarantined_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]
    corrupted_at: Mapped[datetime | None]
    guard_deleted_at: Mapped[datetime | None]
    guard_destroyed_at: Mapped[datetime | None]

    @property
    def tasks(self) -> list[list[int]]:
        """The classes of each task that the version learned; none if it learned all at once."""
        found: list[list[int]] = self.manifest["learning"].get("tasks", [])
        return found


class ForgetRequestRow(Table):
    """A forget request and, once it ran, its report."""

    __tablename__ = "forget_request"
    __table_args__ = (Index("ix_forget_request_model_id_received_at", "model_id", "received_at"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_id: Mapped[UUID] = mapped_column(ForeignKey("model.id"))
    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), unique=True)
    target: Mapped[Target] = mapped_column(TargetJson)
    method: Mapped[MethodName] = mapped_column(String(40))
    requested_method: Mapped[Method] = mapped_column(String(40))
    strategy: Mapped[Strategy | None] = mapped_column(String(20))
    scope: Mapped[Scope | None] = mapped_column(String(20))
    refusal: Mapped[Refusal] = mapped_column(String(20))
    guard: Mapped[GuardParameters | None] = mapped_column(GuardJson)
    reference: Mapped[Reference] = mapped_column(String(20))
    num_references: Mapped[int]
    min_claim: Mapped[Claim | None] = mapped_column(String(20))
    parameters: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger())
    reason: Mapped[str | None] = mapped_column(Text())
    status: Mapped[str] = mapped_column(String(20))
    verdict: Mapped[str | None] = mapped_column(String(20))
    claim: Mapped[Claim | None] = mapped_column(String(20))
    parent_version: Mapped[int | None]
    version: Mapped[int | None]
    report: Mapped[dict[str, Any] | None]
    verification_id: Mapped[UUID | None]
    received_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]

    @property
    def spec(self) -> ForgetSpec:
        """What is asked for, as it is computed."""
        of_method = METHOD_SPECS[self.method]
        parameters = PARAMETERS[of_method.parameters].validate_python(self.parameters)
        settings = of_method.told(parameters, {"strategy": self.strategy, "scope": self.scope})
        guard = self.guard or GuardParameters()
        return ForgetSpec(self.target, self.method, settings, self.refusal, guard, self.seed)


class TombstoneRow(Table):
    """What a model may never learn again: a class by its index, or a sample by its row of the training file."""

    __tablename__ = "tombstone"
    model_id: Mapped[UUID] = mapped_column(ForeignKey("model.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    item: Mapped[int] = mapped_column(BigInteger(), primary_key=True, autoincrement=False)
    forget_request_id: Mapped[UUID] = mapped_column(ForeignKey("forget_request.id"))
    created_at: Mapped[datetime]


class JobRow(Table):
    """A job. `fence` rises with every claim: a process that writes with an older fence is no longer the owner."""

    __tablename__ = "job"
    __table_args__ = (
        Index(
            "uq_job_one_publishing_per_model",
            "model_id",
            unique=True,
            sqlite_where=text("publishing AND status = 'running'"),
            postgresql_where=text("publishing AND status = 'running'"),
        ),
        Index("ix_job_status_sequence", "status", "sequence"),
        UniqueConstraint("id"),
    )
    sequence: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(20))
    model_id: Mapped[UUID] = mapped_column(ForeignKey("model.id"))
    publishing: Mapped[bool] = mapped_column(server_default=false())
    spec: Mapped[dict[str, Any]]
    actor: Mapped[str] = mapped_column(String(60))
    request_id: Mapped[str | None] = mapped_column(String(36))
    status: Mapped[str] = mapped_column(String(20))
    progress: Mapped[dict[str, Any]]
    revision: Mapped[int] = mapped_column(server_default="0")
    attempts: Mapped[int] = mapped_column(server_default="0")
    deaths: Mapped[int] = mapped_column(server_default="0")
    fence: Mapped[int] = mapped_column(BigInteger(), server_default="0")
    owner: Mapped[str | None] = mapped_column(String(200))
    lease_expires_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None]
    problem: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    @property
    def by(self) -> Originator:
        """Who asked for the job, and by which request."""
        return Originator(self.actor, self.request_id)


class JobDependencyRow(Table):
    """One job that another one waits for: until it has ended, in whatever way."""

    __tablename__ = "job_dependency"
    __table_args__ = (Index("ix_job_dependency_waits_for_id", "waits_for_id"),)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)
    waits_for_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)


class ReferenceRow(Table):
    """A model retrained without what was forgotten, to compare with; never served, never exported."""

    __tablename__ = "reference"
    __table_args__ = (Index("ix_reference_key_seed", "key", "seed"),)
    model_id: Mapped[UUID] = mapped_column(ForeignKey("model.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(71))
    seed: Mapped[int] = mapped_column(BigInteger())
    target: Mapped[Target] = mapped_column(TargetJson)
    forget_requests: Mapped[list[str]]
    state: Mapped[str] = mapped_column(String(20))
    digest: Mapped[str] = mapped_column(String(71))
    manifest_digest: Mapped[str] = mapped_column(String(71))
    seconds: Mapped[float]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"))
    created_at: Mapped[datetime]
    purged_at: Mapped[datetime | None]


class VerificationRow(Table):
    """One verification of one result; without a report until its job has succeeded."""

    __tablename__ = "verification"
    __table_args__ = (
        Index("ix_verification_model_id_created_at", "model_id", "created_at"),
        Index("ix_verification_forget_request_id", "forget_request_id"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_id: Mapped[UUID] = mapped_column(ForeignKey("model.id"))
    version: Mapped[int | None]
    original_version: Mapped[int | None]
    forget_request_id: Mapped[UUID] = mapped_column(ForeignKey("forget_request.id"))
    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"))
    depth: Mapped[Depth] = mapped_column(String(10))
    before_purge: Mapped[bool] = mapped_column(server_default=false())
    verdict: Mapped[str | None] = mapped_column(String(20))
    claim: Mapped[Claim | None] = mapped_column(String(20))
    digest: Mapped[str | None] = mapped_column(String(71))
    original_digest: Mapped[str | None] = mapped_column(String(64))
    report: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]


class WorkerRow(Table):
    """A worker and when it was last seen, for readiness."""

    __tablename__ = "worker"
    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class ApiKeyRow(Table):
    """An API key; only the SHA-256 of its secret is kept."""

    __tablename__ = "api_key"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[list[str]]
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class IdempotencyRow(Table):
    """The first answer given to an idempotency key of a caller."""

    __tablename__ = "idempotency_key"
    caller: Mapped[str] = mapped_column(String(60), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_digest: Mapped[bytes]
    status: Mapped[int]
    location: Mapped[str | None] = mapped_column(String(200))
    body: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(index=True)


class AuditEntryRow(Table):
    """One entry of the audit log; `entry` holds the exact bytes that were hashed, the other columns are for searching.

    No unique constraint but the primary key: a second one would let `INSERT OR REPLACE` delete rows past the triggers.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_model", "model"),
        Index("ix_audit_entry_event", "event"),
        Index("ix_audit_entry_forget_request", "forget_request"),
    )
    leaf_index: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    entry: Mapped[bytes]
    leaf_hash: Mapped[bytes]
    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(60))
    actor: Mapped[str] = mapped_column(String(60))
    request_id: Mapped[str | None] = mapped_column(String(36))
    model: Mapped[str | None] = mapped_column(String(63))
    version: Mapped[int | None]
    forget_request: Mapped[UUID | None]


class AuditTileRow(Table):
    """One complete tile of the log's tree: 256 hashes of 32 bytes, written with the entry that completes it."""

    __tablename__ = "audit_tile"
    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    hashes: Mapped[bytes]


class AuditCheckpointRow(Table):
    """One signed checkpoint of the log: its size, its root, and the note that says so."""

    __tablename__ = "audit_checkpoint"
    size: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    root: Mapped[bytes]
    note: Mapped[bytes]
    at: Mapped[datetime]


class AuditSecretRow(Table):
    """The key of a forget request's commitments, 32 bytes; None once it is destroyed. No part of the log."""

    __tablename__ = "audit_secret"
    forget_request_id: Mapped[UUID] = mapped_column(ForeignKey("forget_request.id"), primary_key=True)
    secret: Mapped[bytes | None]
    created_at: Mapped[datetime]
    destroyed_at: Mapped[datetime | None]
