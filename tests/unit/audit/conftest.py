"""Someone with direct access to the database, who does not go through the product."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from app.audit import log
from app.database.engine import Database
from app.specs.originator import Originator

SQLITE_GUARDS = ("audit_entry_refuses_update", "audit_entry_refuses_delete", "audit_entry_demands_next_leaf_index")
JOB = "0f5a3f3e-9a54-4d43-8a39-0d3a3f1f6c11"


class Outsider:
    """A connection of its own without our pragmas; on PostgreSQL that of the superuser who owns the tables."""

    def __init__(self, database: Database) -> None:
        self.is_sqlite = database.is_sqlite
        self.engine = create_engine(database.engine.url)

    def execute(self, *statements: str, **parameters: Any) -> None:
        """Run the statements in one transaction."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), parameters)

    def drop_guards(self, table: str = "audit_entry") -> None:
        """Remove the triggers of a table, as the owner of a database always can."""
        if self.is_sqlite:
            found = f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"
            with self.engine.connect() as connection:
                names = connection.scalars(text(found)).all()
            self.execute(*(f"DROP TRIGGER {name}" for name in names))
        else:
            self.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")


@pytest.fixture
def outsider(database: Database) -> Iterator[Outsider]:
    outsider = Outsider(database)
    yield outsider
    outsider.engine.dispose()


@pytest.fixture
def five_entries(database: Database) -> Database:
    """A database whose log holds five entries."""
    with database.writing() as session:
        for version in range(1, 6):
            log.append(
                session,
                "training.completed",
                by=Originator("admin", "3b241101-e2bb-4255-8caf-4136c566a962"),
                model="digits",
                version=version,
                details={"job": JOB},
            )
    return database
