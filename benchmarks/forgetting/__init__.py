"""Forgetting by default, over seeds, classes and settings."""
