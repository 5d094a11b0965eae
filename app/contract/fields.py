"""What several resources have in common on the wire."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
)

Item = TypeVar("Item")
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["digits"])]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Free text; no database but SQLite stores a null character."""
ClassIndex = Annotated[int, Field(ge=0, lt=2**31)]
SampleIndex = Annotated[int, Field(ge=0, lt=2**53)]


def _each_once(found: list[Item]) -> list[Item]:
    if len(set(found)) < len(found):
        raise ValueError("name each once")
    return found


ClassList = Annotated[
    list[ClassIndex],
    Field(min_length=1, max_length=10_000, fail_fast=True, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_each_once),
]
NewTask = ClassList
FORGOTTEN_TOKEN = "[forgotten]"  # noqa: S105  a label, not a secret


class Asked(BaseModel):
    """A request body: unknown fields are an error, so that a misspelt option is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answered(BaseModel):
    """An answer: fields may be added by later servers, so unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _tagged(given: Any, tag: str, default: str) -> Any:
    """A part of a body with the name of its kind, which may be left out."""
    return {**given, tag: default} if isinstance(given, dict) and given.get(tag) is None else given


def _depends(published: dict[str, Any]) -> None:
    """Leave out a default that depends on other fields: the description says how, a constant would be untrue."""
    del published["default"]


def _filled(given: Any, default: Any) -> Any:
    """Fields as given, the others as in `default`; left as it is where that is another kind of thing."""
    fields = asdict(default)
    same_kind = isinstance(given, dict) and given.get("type") == fields.get("type")
    return fields | given if same_kind else given


def _as_tuples(given: Any) -> Any:
    """JSON's lists as tuples, which strict validation takes from JSON text alone, not from what a validator returns."""
    if isinstance(given, dict):
        return {name: _as_tuples(value) for name, value in given.items()}
    return tuple(_as_tuples(value) for value in given) if isinstance(given, list) else given
