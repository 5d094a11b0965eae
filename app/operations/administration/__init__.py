"""Keys, jobs, the audit log, housekeeping, and whether the server is ready."""
