"""What a failed job keeps of the error that ended it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.errors import ForgetteryError


def problem_document(error: ForgetteryError) -> dict[str, Any]:
    """The error as `app.schemas.Problem` without its `status`, which whoever answers over HTTP adds from the type."""
    return {
        "type": f"/problems/{error.slug}",
        "title": error.title,
        "detail": error.detail,
        "errors": [asdict(fault) for fault in error.errors],
    }
