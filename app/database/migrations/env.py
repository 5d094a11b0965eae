"""What alembic runs; the connection, its transaction and its lock come from `app.database.migrate`."""

from __future__ import annotations

from alembic import context

from app.database.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    # Both databases take schema changes back with their transaction; alembic does not know that of SQLite.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
