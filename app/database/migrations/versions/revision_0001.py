"""The first schema: models and versions, forgetting, jobs, keys, and the append-only audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_PUBLISHING = sa.text("publishing AND status = 'running'")


def upgrade() -> None:
    _create_models()
    _create_jobs()
    _create_forgetting()
    _create_verification()
    _create_callers()
    _create_audit_log()
    if op.get_context().dialect.name == "sqlite":
        _guard_audit_log_on_sqlite()
    else:
        _guard_audit_log_on_postgresql()


def downgrade() -> None:
    for table in (
        "audit_entry",
        "idempotency_key",
        "api_key",
        "verification",
        "reference",
        "tombstone",
        "forget_request",
        "worker",
        "job_dependency",
        "job",
        "version",
        "model",
    ):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")
        op.execute("DROP FUNCTION demand_next_leaf_index()")


def _create_models() -> None:
    op.create_table(
        "model",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("dataset", sa.String(100), nullable=False),
        sa.Column("architecture", _JSON, nullable=False),
        sa.Column("learning", _JSON, nullable=False),
        sa.Column("training", _JSON, nullable=False),
        sa.Column("serving_version", sa.Integer()),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("deleted_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
        sa.UniqueConstraint("name", name="uq_model_name"),
    )
    op.create_table(
        "version",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("parent", sa.Integer()),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("manifest_digest", sa.String(71), nullable=False),
        sa.Column("forgotten", _JSON, nullable=False),
        sa.Column("claim", sa.String(20)),
        sa.Column("metrics", _JSON, nullable=False),
        sa.Column("manifest", _JSON, nullable=False),
        sa.Column("forget_request_id", sa.Uuid()),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("quarantined_at", _TIME),
        sa.Column("purged_at", _TIME),
        sa.Column("corrupted_at", _TIME),
        sa.Column("guard_deleted_at", _TIME),
        sa.Column("guard_destroyed_at", _TIME),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_version_model_id_model"),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_version"),
    )
    op.create_index("ix_version_state_quarantined_at", "version", ["state", "quarantined_at"])


def _create_jobs() -> None:
    op.create_table(
        "job",
        sa.Column("sequence", _BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("publishing", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("spec", _JSON, nullable=False),
        sa.Column("actor", sa.String(60), nullable=False),
        sa.Column("request_id", sa.String(36)),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("progress", _JSON, nullable=False),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deaths", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("owner", sa.String(200)),
        sa.Column("lease_expires_at", _TIME),
        sa.Column("cancel_requested_at", _TIME),
        sa.Column("result", _JSON),
        sa.Column("problem", _JSON),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("finished_at", _TIME),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_job_model_id_model"),
        sa.PrimaryKeyConstraint("sequence", name="pk_job"),
        sa.UniqueConstraint("id", name="uq_job_id"),
    )
    op.create_index("ix_job_status_sequence", "job", ["status", "sequence"])
    op.create_index(
        "uq_job_one_publishing_per_model",
        "job",
        ["model_id"],
        unique=True,
        sqlite_where=_PUBLISHING,
        postgresql_where=_PUBLISHING,
    )
    op.create_table(
        "job_dependency",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("waits_for_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_job_dependency_job_id_job"),
        sa.ForeignKeyConstraint(["waits_for_id"], ["job.id"], name="fk_job_dependency_waits_for_id_job"),
        sa.PrimaryKeyConstraint("job_id", "waits_for_id", name="pk_job_dependency"),
    )
    op.create_index("ix_job_dependency_waits_for_id", "job_dependency", ["waits_for_id"])
    op.create_table(
        "worker",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )


def _create_forgetting() -> None:
    op.create_table(
        "forget_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("target", _JSON, nullable=False),
        sa.Column("method", sa.String(40), nullable=False),
        sa.Column("requested_method", sa.String(40), nullable=False),
        sa.Column("strategy", sa.String(20)),
        sa.Column("scope", sa.String(20)),
        sa.Column("refusal", sa.String(20), nullable=False),
        sa.Column("guard", _JSON),
        sa.Column("reference", sa.String(20), nullable=False),
        sa.Column("num_references", sa.Integer(), nullable=False),
        sa.Column("min_claim", sa.String(20)),
        sa.Column("parameters", _JSON, nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("verdict", sa.String(20)),
        sa.Column("claim", sa.String(20)),
        sa.Column("parent_version", sa.Integer()),
        sa.Column("version", sa.Integer()),
        sa.Column("report", _JSON),
        sa.Column("verification_id", sa.Uuid()),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("completed_at", _TIME),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_forget_request_model_id_model"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_forget_request_job_id_job"),
        sa.PrimaryKeyConstraint("id", name="pk_forget_request"),
        sa.UniqueConstraint("job_id", name="uq_forget_request_job_id"),
    )
    op.create_index("ix_forget_request_model_id_received_at", "forget_request", ["model_id", "received_at"])
    op.create_table(
        "tombstone",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("item", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("forget_request_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_tombstone_model_id_model"),
        sa.ForeignKeyConstraint(
            ["forget_request_id"], ["forget_request.id"], name="fk_tombstone_forget_request_id_forget_request"
        ),
        sa.PrimaryKeyConstraint("model_id", "kind", "item", name="pk_tombstone"),
    )


def _create_verification() -> None:
    op.create_table(
        "reference",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(71), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("target", _JSON, nullable=False),
        sa.Column("forget_requests", _JSON, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("manifest_digest", sa.String(71), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("purged_at", _TIME),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_reference_model_id_model"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_reference_job_id_job"),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_reference"),
    )
    op.create_index("ix_reference_key_seed", "reference", ["key", "seed"])
    op.create_table(
        "verification",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer()),
        sa.Column("original_version", sa.Integer()),
        sa.Column("forget_request_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("depth", sa.String(10), nullable=False),
        sa.Column("before_purge", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("verdict", sa.String(20)),
        sa.Column("claim", sa.String(20)),
        sa.Column("digest", sa.String(71)),
        sa.Column("original_digest", sa.String(64)),
        sa.Column("report", _JSON),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("completed_at", _TIME),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_verification_model_id_model"),
        sa.ForeignKeyConstraint(
            ["forget_request_id"], ["forget_request.id"], name="fk_verification_forget_request_id_forget_request"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_verification_job_id_job"),
        sa.PrimaryKeyConstraint("id", name="pk_verification"),
    )
    op.create_index("ix_verification_model_id_created_at", "verification", ["model_id", "created_at"])
    op.create_index("ix_verification_forget_request_id", "verification", ["forget_request_id"])


def _create_callers() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("scopes", _JSON, nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("key_hash", name="uq_api_key_key_hash"),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("caller", sa.String(60), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("location", sa.String(200)),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_idempotency_key"),
    )
    op.create_index("ix_idempotency_key_created_at", "idempotency_key", ["created_at"])


def _create_audit_log() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("leaf_index", _BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("event", sa.String(60), nullable=False),
        sa.Column("actor", sa.String(60), nullable=False),
        sa.Column("request_id", sa.String(36)),
        sa.Column("model", sa.String(63)),
        sa.Column("version", sa.Integer()),
        sa.Column("forget_request", sa.Uuid()),
        sa.PrimaryKeyConstraint("leaf_index", name="pk_audit_entry"),
    )
    op.create_index("ix_audit_entry_model", "audit_entry", ["model"])
    op.create_index("ix_audit_entry_event", "audit_entry", ["event"])
    op.create_index("ix_audit_entry_forget_request", "audit_entry", ["forget_request"])


def _guard_audit_log_on_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_entry_refuses_{verb.lower()} BEFORE {verb} ON audit_entry "
            f"BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only: {verb} refused'); END"
        )
    # INSERT OR REPLACE deletes without the DELETE trigger unless the connection asked for recursive triggers.
    op.execute(
        "CREATE TRIGGER audit_entry_demands_next_leaf_index BEFORE INSERT ON audit_entry "
        "WHEN NEW.leaf_index IS NOT (SELECT coalesce(max(leaf_index), -1) + 1 FROM audit_entry) "
        "BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only: leaf_index must be the next one'); END"
    )


def _guard_audit_log_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation'; "
        "END $$"
    )
    # TG_RELID and not the name, which a temporary table could take over.
    op.execute(
        "CREATE FUNCTION demand_next_leaf_index() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE next bigint; BEGIN "
        "EXECUTE format('SELECT coalesce(max(leaf_index), -1) + 1 FROM %s', TG_RELID::regclass) INTO next; "
        "IF NEW.leaf_index <> next THEN "
        "RAISE EXCEPTION '% is append-only: leaf_index must be %', TG_TABLE_NAME, next "
        "USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$"
    )
    for name, when, function in (
        ("audit_entry_refuses_change", "BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW", "refuse_change"),
        ("audit_entry_refuses_truncate", "BEFORE TRUNCATE ON audit_entry FOR EACH STATEMENT", "refuse_change"),
        ("audit_entry_demands_next", "BEFORE INSERT ON audit_entry FOR EACH ROW", "demand_next_leaf_index"),
    ):
        op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {function}()")
        # ALWAYS: also under session_replication_role = replica.
        op.execute(f"ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER {name}")
