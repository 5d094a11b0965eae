"""What stands in paths: bounded, so that what no resource can have is 404 before the database is asked."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query

ModelInPath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["digits"])]
VersionInPath = Annotated[int, Path(ge=1, lt=2**31, examples=[2])]
DatasetInPath = Annotated[str, Path(max_length=100, examples=["mnist"])]
JobInPath = Annotated[UUID, Path()]
ForgetRequestInPath = Annotated[UUID, Path()]
VerificationInPath = Annotated[UUID, Path()]
ApiKeyInPath = Annotated[UUID, Path()]
ModelFilter = Annotated[
    str | None, Query(alias="model", pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="Of this model only.")
]
