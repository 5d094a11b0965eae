"""Verify, and the retrained models to compare with."""
