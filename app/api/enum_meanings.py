"""Each member of an enum of the OpenAPI document with its sentence, which stands beside the enum in the code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app import method_specs, schemas, specs
from app.operations.catalogue import EDIT_IDEA

Meanings = Mapping[Any, str]

_METHODS: dict[str, str] = {"edit": EDIT_IDEA} | {name: spec.idea for name, spec in method_specs.METHOD_SPECS.items()}
_BY_MEMBERS: Mapping[tuple[str, ...], Meanings] = {
    tuple(meanings): meanings
    for meanings in (
        specs.OPTIMIZER_MEANINGS,
        specs.SCHEDULE_MEANINGS,
        specs.TORCHVISION_MEANINGS,
        specs.MODE_MEANINGS,
        specs.STRATEGY_MEANINGS,
        specs.SCOPE_MEANINGS,
        specs.REFUSAL_MEANINGS,
        specs.SELECTION_MEANINGS,
        method_specs.CLAIM_MEANINGS,
        method_specs.TARGET_MEANINGS,
        schemas.API_SCOPE_MEANINGS,
        schemas.REFERENCE_MEANINGS,
        schemas.VERSION_STATE_MEANINGS,
        schemas.ORIGIN_MEANINGS,
        schemas.JOB_KIND_MEANINGS,
        schemas.JOB_STATUS_MEANINGS,
        schemas.WORK_STATUS_MEANINGS,
        schemas.VERDICT_MEANINGS,
        schemas.DEPTH_MEANINGS,
        schemas.ON_FORGOTTEN_MEANINGS,
        schemas.INVERT_MEANINGS,
        _METHODS,
        {"auto": schemas.AUTO_MEANING} | _METHODS,
    )
}
_ILLUSTRATIONS = {"default", "example", "examples"}


def describe_enums(document: dict[str, Any]) -> None:
    """List the members of every enum, each with its sentence, at the end of the enum's description."""
    for schema in enums(document):
        meanings = _BY_MEMBERS.get(tuple(schema["enum"]), {})
        listed = "\n".join(f"- `{member}`: {sentence}" for member, sentence in meanings.items())
        schema["description"] = "\n\n".join(part for part in (schema.get("description"), listed) if part)


def enums(part: Any) -> Iterator[dict[str, Any]]:
    """Every schema of this part of the document that has an `enum`; examples and defaults are no schemas."""
    if isinstance(part, list):
        for inner in part:
            yield from enums(inner)
    if not isinstance(part, dict):
        return
    if isinstance(part.get("enum"), list):
        yield part
    for name, inner in part.items():
        if name == "properties":
            yield from enums(list(inner.values()))
        elif name not in _ILLUSTRATIONS:
            yield from enums(inner)
