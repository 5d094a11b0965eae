"""The database: engine and transactions, the whole schema, migrations."""
