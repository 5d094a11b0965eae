"""Whom an event or a job goes back to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Originator:
    """The actor, and the request by which they asked; jobs carry it on, and the audit log keeps it."""

    actor: str
    """`admin`, `local`, `key:` and the API key's UUID, or `retention` for what the service does by itself."""
    request_id: str | None = None
    """The server's own UUID of the request, never the client's; None where nobody asked."""
