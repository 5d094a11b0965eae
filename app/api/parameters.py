"""What stands in paths and queries: bounded, so that what no resource can have is 404 before the database is asked."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query
from pydantic import BeforeValidator


def _only_digits(value: Any) -> Any:
    """Refuse 1.0, +1 and 1_0, whole numbers to a lenient reader only, so that a resource has one address."""
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        raise ValueError("should be a whole number, in digits alone")
    return value


WholeNumber = Annotated[int, BeforeValidator(_only_digits)]
ModelInPath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["digits"])]
VersionInPath = Annotated[WholeNumber, Path(ge=1, lt=2**31, examples=[2])]
DatasetInPath = Annotated[str, Path(max_length=100, examples=["mnist"])]
JobInPath = Annotated[UUID, Path()]
ForgetRequestInPath = Annotated[UUID, Path()]
VerificationInPath = Annotated[UUID, Path()]
ApiKeyInPath = Annotated[UUID, Path()]
ModelFilter = Annotated[
    str | None, Query(alias="model", pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="Only items of this model.")
]
