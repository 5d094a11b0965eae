"""Whether the service is well."""

from __future__ import annotations

from typing import Literal

from app.contract.fields import Answered


class Health(Answered):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(Answered):
    """Every part works."""

    status: Literal["ok"] = "ok"
    checks: dict[str, str]
