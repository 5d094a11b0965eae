"""Models and versions: create, list, serve, purge, predict."""
