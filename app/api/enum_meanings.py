"""Each member of an enum of the OpenAPI document with its sentence, which stands beside the enum in the code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.contract.forgetting import AUTO_MEANING
from app.contract.jobs import JOB_KIND_MEANINGS, JOB_STATUS_MEANINGS, WORK_STATUS_MEANINGS
from app.contract.keys import API_SCOPE_MEANINGS
from app.contract.predicting import INVERT_MEANINGS, ON_FORGOTTEN_MEANINGS
from app.contract.verifying import DEPTH_MEANINGS, REFERENCE_MEANINGS, VERDICT_MEANINGS
from app.contract.versions import ORIGIN_MEANINGS, VERSION_STATE_MEANINGS
from app.specs.architectures import TORCHVISION_MEANINGS
from app.specs.claims import CLAIM_MEANINGS
from app.specs.learning import MODE_MEANINGS
from app.specs.methods import METHOD_SPECS
from app.specs.methods.edit import SCOPE_MEANINGS, SELECTION_MEANINGS, STRATEGY_MEANINGS
from app.specs.refusing import REFUSAL_MEANINGS
from app.specs.target import TARGET_MEANINGS
from app.specs.training import OPTIMIZER_MEANINGS, SCHEDULE_MEANINGS

Meanings = Mapping[Any, str]

_METHODS: dict[str, str] = {name: spec.idea for name, spec in METHOD_SPECS.items()}
_BY_MEMBERS: Mapping[tuple[str, ...], Meanings] = {
    tuple(meanings): meanings
    for meanings in (
        OPTIMIZER_MEANINGS,
        SCHEDULE_MEANINGS,
        TORCHVISION_MEANINGS,
        MODE_MEANINGS,
        STRATEGY_MEANINGS,
        SCOPE_MEANINGS,
        REFUSAL_MEANINGS,
        SELECTION_MEANINGS,
        CLAIM_MEANINGS,
        TARGET_MEANINGS,
        API_SCOPE_MEANINGS,
        REFERENCE_MEANINGS,
        VERSION_STATE_MEANINGS,
        ORIGIN_MEANINGS,
        JOB_KIND_MEANINGS,
        JOB_STATUS_MEANINGS,
        WORK_STATUS_MEANINGS,
        VERDICT_MEANINGS,
        DEPTH_MEANINGS,
        ON_FORGOTTEN_MEANINGS,
        INVERT_MEANINGS,
        _METHODS,
        {"auto": AUTO_MEANING} | _METHODS,
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
