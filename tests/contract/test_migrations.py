"""The migrations and the tables say the same on both databases, and an upgrade happens whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from app.database import migrate
from app.database.engine import Database
from app.database.tables import Table
from app.errors import NotReady
from app.settings import Settings
from tests.waiting import HANGS_AFTER

ROOT = Path(__file__).parents[2]

FAULTY_REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "faulty", "{newest}"

def upgrade():
    op.create_table("half_done", sa.Column("id", sa.Integer(), primary_key=True))
    op.add_column("model", sa.Column("half_done", sa.Integer()))
    op.execute("INSERT INTO half_done VALUES (1)")
    raise RuntimeError("stopped in the middle")
"""


def tables_of(url: str) -> set[str]:
    database = Database(url)
    with database.reading() as session:
        tables = inspect(session.connection()).get_table_names()
    database.dispose()
    return set(tables)


def test_the_migrated_schema_is_the_tables(database: Database) -> None:
    with database.reading() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Table.metadata) == []


def test_settings_name_the_database(database: Database, settings: Settings) -> None:
    assert settings.resolved_database_url == database.engine.url.render_as_string(hide_password=False)


def test_up_down_and_up_again(database_url: str) -> None:
    migrate.upgrade(database_url)
    migrate.downgrade(database_url, "base")
    assert tables_of(database_url) == {"alembic_version"}
    assert migrate.current(database_url) is None
    migrate.upgrade(database_url)
    assert migrate.current(database_url) == migrate.newest()
    assert tables_of(database_url) == {"alembic_version", *Table.metadata.tables}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_downgrade_leaves_no_function(database_url: str) -> None:
    migrate.upgrade(database_url)
    migrate.downgrade(database_url, "base")
    database = Database(database_url)
    with database.reading() as session:
        left = session.scalars(text("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")).all()
    database.dispose()
    assert left == []


def test_upgrading_again_changes_nothing(database_url: str) -> None:
    migrate.upgrade(database_url)
    migrate.upgrade(database_url)
    migrate.check_revision(database_url)


def test_a_failing_migration_leaves_the_revision_it_found(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.upgrade(database_url)
    before, tables = migrate.current(database_url), tables_of(database_url)
    with_faulty = tmp_path / "100% migrations"
    shutil.copytree(migrate._MIGRATIONS, with_faulty, ignore=shutil.ignore_patterns("__pycache__"))
    (with_faulty / "versions" / "faulty.py").write_text(FAULTY_REVISION.format(newest=before))
    monkeypatch.setattr(migrate, "_MIGRATIONS", with_faulty)
    with pytest.raises(RuntimeError, match="in the middle"):
        migrate.upgrade(database_url)
    assert migrate.current(database_url) == before
    assert tables_of(database_url) == tables
    with pytest.raises(NotReady, match="faulty is needed; run `forgettery db upgrade`"):
        migrate.check_revision(database_url)


def test_processes_that_upgrade_at_once_do_it_once(database_url: str) -> None:
    program = "import sys; from app.database import migrate; migrate.upgrade(sys.argv[1])"
    processes = [
        subprocess.Popen([sys.executable, "-c", program, database_url], cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=HANGS_AFTER)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    migrate.check_revision(database_url)


def test_a_database_never_migrated_is_not_ready(database_url: str) -> None:
    assert migrate.current(database_url) is None
    with pytest.raises(NotReady, match="run `forgettery db upgrade`"):
        migrate.check_revision(database_url)


def test_a_database_of_a_newer_program_is_not_ready(database_url: str) -> None:
    migrate.upgrade(database_url)
    database = Database(database_url)
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.dispose()
    with pytest.raises(NotReady, match="newer program"):
        migrate.check_revision(database_url)
