"""The migrations and the tables say the same, on both databases."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from app.database import migrate
from app.database.engine import Database
from app.database.tables import Table
from app.settings import Settings


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
    assert migrate.current(database_url) is None
    migrate.upgrade(database_url)
    assert migrate.current(database_url) == migrate.newest()
