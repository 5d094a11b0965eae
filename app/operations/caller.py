"""Who asks for an operation, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

from app.contract.keys import ApiScope
from app.errors import MissingScope
from app.specs.originator import Originator

HOUSEKEEPING = Originator("retention")
"""The actor that the audit log names for what the service does by itself."""


@dataclass(frozen=True)
class Caller:
    """The authenticated sender of one request: `by` is what jobs and the audit log keep of it."""

    by: Originator
    scopes: frozenset[str]

    def may(self, scope: ApiScope) -> bool:
        """Whether the scope, or `admin`, which implies every other, was granted."""
        return scope in self.scopes or "admin" in self.scopes

    def require(self, scope: ApiScope) -> None:
        """Raise `MissingScope` unless the scope was granted."""
        if not self.may(scope):
            accepted = " or ".join(f'"{name}"' for name in dict.fromkeys([scope, "admin"]))
            raise MissingScope(f"this needs an API key with the scope {accepted}")
