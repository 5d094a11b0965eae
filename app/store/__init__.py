"""Versions on disk: staged, sealed with digests, published by one rename, checked at every load."""
