"""The schema's history: one file per revision in `versions`, run by `app.database.migrate`."""
