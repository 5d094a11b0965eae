"""Compare methods on one target."""
