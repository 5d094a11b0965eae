"""What is to be said of goals that were missed: what was tried and why; written by hand, for MNIST."""

from __future__ import annotations

REMARKS: dict[tuple[str, str], str] = {}
"""By goal and network."""
