"""What makes the audit log evidence: tiles of its tree, signed checkpoints, and the keys of commitments."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from app.evidence.tiles import WIDTH, tile_root

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_TILE = sa.table(
    "audit_tile",
    sa.column("level", sa.Integer),
    sa.column("number", sa.BigInteger),
    sa.column("hashes", sa.LargeBinary),
)
_TABLES = ("audit_tile", "audit_checkpoint")


def upgrade() -> None:
    op.create_table(
        "audit_tile",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", _BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_audit_tile"),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", _BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_audit_checkpoint"),
    )
    op.create_table(
        "audit_secret",
        sa.Column("forget_request_id", sa.Uuid(), nullable=False),
        sa.Column("secret", sa.LargeBinary()),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("destroyed_at", _TIME),
        sa.ForeignKeyConstraint(
            ["forget_request_id"], ["forget_request.id"], name="fk_audit_secret_forget_request_id_forget_request"
        ),
        sa.PrimaryKeyConstraint("forget_request_id", name="pk_audit_secret"),
    )
    _fill_tiles()
    if op.get_context().dialect.name == "sqlite":
        _guard_on_sqlite()
    else:
        _guard_on_postgresql()


def downgrade() -> None:
    for table in ("audit_secret", *_TABLES):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION demand_next_tile()")
        op.execute("DROP FUNCTION demand_larger_size()")


def _fill_tiles() -> None:
    """The tiles that the entries so far complete, level by level."""
    level, hashes = 0, _leaf_hashes()
    while True:
        roots = []
        for number, tile in enumerate(_complete(hashes)):
            op.execute(_TILE.insert().values(level=level, number=number, hashes=tile))
            roots.append(tile_root(tile))
        if len(roots) < WIDTH:
            return
        level, hashes = level + 1, iter(roots)


def _leaf_hashes() -> Iterator[bytes]:
    """Every leaf hash in its order, one tile's worth at a time in memory."""
    statement = sa.text(
        "SELECT leaf_hash FROM audit_entry WHERE leaf_index >= :first AND leaf_index < :last ORDER BY leaf_index"
    )
    first = 0
    while batch := op.get_bind().execute(statement, {"first": first, "last": first + WIDTH}).scalars().all():
        yield from map(bytes, batch)
        first += WIDTH


def _complete(hashes: Iterator[bytes]) -> Iterator[bytes]:
    tile: list[bytes] = []
    for each in hashes:
        tile.append(each)
        if len(tile) == WIDTH:
            yield b"".join(tile)
            tile = []


def _guard_on_sqlite() -> None:
    for table in _TABLES:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {verb} refused'); END"
            )
    op.execute(
        "CREATE TRIGGER audit_tile_demands_next BEFORE INSERT ON audit_tile "
        "WHEN NEW.number IS NOT (SELECT coalesce(max(number), -1) + 1 FROM audit_tile WHERE level = NEW.level) "
        "BEGIN SELECT RAISE(ABORT, 'audit_tile is append-only: number must be the next one of its level'); END"
    )
    op.execute(
        "CREATE TRIGGER audit_checkpoint_demands_larger_size BEFORE INSERT ON audit_checkpoint "
        "WHEN NEW.size <= (SELECT coalesce(max(size), -1) FROM audit_checkpoint) "
        "BEGIN SELECT RAISE(ABORT, 'audit_checkpoint is append-only: size must be larger than any before'); END"
    )


def _guard_on_postgresql() -> None:
    # TG_RELID and not the name, which a temporary table could take over.
    op.execute(
        "CREATE FUNCTION demand_next_tile() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE next bigint; BEGIN "
        "EXECUTE format('SELECT coalesce(max(number), -1) + 1 FROM %s WHERE level = $1', TG_RELID::regclass) "
        "INTO next USING NEW.level; "
        "IF NEW.number <> next THEN "
        "RAISE EXCEPTION '% is append-only: number must be % on its level', TG_TABLE_NAME, next "
        "USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE FUNCTION demand_larger_size() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE largest bigint; BEGIN "
        "EXECUTE format('SELECT coalesce(max(size), -1) FROM %s', TG_RELID::regclass) INTO largest; "
        "IF NEW.size <= largest THEN "
        "RAISE EXCEPTION '% is append-only: size must be larger than %', TG_TABLE_NAME, largest "
        "USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$"
    )
    functions = {"audit_tile": "demand_next_tile", "audit_checkpoint": "demand_larger_size"}
    for table in _TABLES:
        for name, when, function in (
            (f"{table}_refuses_change", f"BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW", "refuse_change"),
            (f"{table}_refuses_truncate", f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT", "refuse_change"),
            (f"{table}_demands_next", f"BEFORE INSERT ON {table} FOR EACH ROW", functions[table]),
        ):
            op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {function}()")
            # ALWAYS: also under session_replication_role = replica.
            op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
