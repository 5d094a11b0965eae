"""What may be logged: a table of events, and for each the only details it may carry, with their types.

An entry can never be changed or deleted, so nothing personal may enter one: no free text, no name of a person, no
address, no file name, no message of an exception. Measured values are decimal strings, since no two programs agree on
how to write a float; floats are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from app.contract.fields import ModelName
from app.contract.keys import ApiScope
from app.contract.verifying import Depth, Reference, Verdict
from app.contract.versions import Origin
from app.specs.claims import Claim
from app.specs.fields import Seed
from app.specs.methods.edit import Scope, Strategy
from app.specs.refusing import Refusal

_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

Id = Annotated[str, StringConstraints(pattern=f"^{_ID}$")]
Actor = Annotated[str, StringConstraints(pattern=f"^(admin|local|retention|key:{_ID})$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
DecimalText = Annotated[str, StringConstraints(pattern=r"^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,20})?$")]
Number = Annotated[int, Field(ge=1, lt=2**31)]
Classes = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(max_length=10_000)]

Tasks = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(max_length=10_000)]
"""Tasks by index, in the order of learning."""

NumSamples = Annotated[int, Field(ge=1, lt=2**53)]
"""The number of samples; their ids are never logged, because an id leads to a person."""

EVENTS: Mapping[str, Mapping[str, Any]] = {
    "model.created": {"dataset": Name, "architecture": Name},
    "model.deleted": {},
    # `tasks`: the classes of each task to be learned; they get their indexes when they are.
    "training.requested": {
        "job": Id,
        "classes": Classes,
        "tasks": Annotated[list[Classes], Field(max_length=10_000)],
        "from_scratch": bool,
    },
    "training.completed": {"job": Id, "digest": Digest, "parent_version": Number},
    "training.failed": {"job": Id, "problem": Name},
    "training.cancelled": {"job": Id},
    "forget.requested": {
        "job": Id,
        "classes": Classes,
        "tasks": Tasks,
        "num_samples": NumSamples,
        "method": Name,
        "requested_method": Name,
        "strategy": Strategy,
        "scope": Scope,
        "refusal": Refusal,
        "reference": Reference,
        "num_references": Number,
        "min_claim": Claim,
        "seed": Seed,
    },
    "forget.started": {"job": Id, "parent_version": Number},
    "forget.completed": {
        "job": Id,
        "classes": Classes,
        "tasks": Tasks,
        "num_samples": NumSamples,
        "parent_version": Number,
        "digest": Digest,
        "claim": Claim,
        "verdict": Verdict,
        "forget_accuracy": DecimalText,
        "retain_accuracy": DecimalText,
        "test_accuracy": DecimalText,
        "refusal_rate": DecimalText,
        "false_refusal_rate": DecimalText,
    },
    "forget.failed": {
        "job": Id,
        "problem": Name,
        "parent_version": Number,
        "verdict": Verdict,
        "missed": Annotated[list[Name], Field(max_length=1_000)],
    },
    "forget.cancelled": {"job": Id},
    "version.published": {
        "digest": Digest,
        "manifest_digest": Digest,
        "origin": Origin,
        "parent_version": Number,
        "claim": Claim,
        # Of what is forgotten: classes, the tasks of which no class is left, and how many samples.
        "forgotten": Classes,
        "tasks": Tasks,
        "num_samples": NumSamples,
    },
    "version.quarantined": {"digest": Digest},
    "version.purged": {"digest": Digest},
    "version.corrupted": {"digest": Digest},
    "guard.deleted": {"digest": Digest, "classes": Classes},
    # `digest` of the version's weights, `parameters` of what was verified, published or not.
    "verification.completed": {
        "job": Id,
        "digest": Digest,
        "parameters": Digest,
        "depth": Depth,
        "verdict": Verdict,
        "claim": Claim,
        "references": Annotated[int, Field(ge=0, le=1000)],
        "repeated_equal": bool,
    },
    "serving.moved": {"from_version": Number},
    "relearning.refused": {"classes": Classes, "tasks": Tasks},
    "signing-key.created": {"generation": Number, "certificate_key": Digest, "log_key": Digest},
    "signing-key.retired": {"generation": Number, "certificate_key": Digest, "log_key": Digest},
    "api-key.created": {"key": Id, "scopes": list[ApiScope]},
    "api-key.revoked": {"key": Id, "scopes": list[ApiScope]},
}

_SUBJECT: Mapping[str, Any] = {
    "actor": Actor,
    "request_id": Id | None,
    "model": ModelName | None,
    "version": Number | None,
    "forget_request": UUID | None,
}
# Strict: 1 is not True, "1" is not 1. A refused value is not repeated, as it may be what must not be written down.
_STRICT = ConfigDict(strict=True, hide_input_in_errors=True)
_SUBJECT_ADAPTERS = {name: TypeAdapter(kind, config=_STRICT) for name, kind in _SUBJECT.items()}
_DETAIL_ADAPTERS = {
    event: {name: TypeAdapter(kind, config=_STRICT) for name, kind in fields.items()}
    for event, fields in EVENTS.items()
}


def decimal_text(value: float) -> str:
    """A measured value as an entry may hold it: its shortest decimal digits, without exponent."""
    return format(Decimal(repr(float(value))), "f")


def check(event: str, subject: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    """Raise ValueError unless the event is known and every value is one that it may carry."""
    if event not in EVENTS:
        raise ValueError(f"{event} is not an event of the audit log")
    for name, value in subject.items():
        _check(name, _SUBJECT_ADAPTERS[name], value)
    for name, value in details.items():
        if name not in _DETAIL_ADAPTERS[event]:
            raise ValueError(f"the event {event} carries no detail of this name; allowed: {', '.join(EVENTS[event])}")
        _check(f"{event}: {name}", _DETAIL_ADAPTERS[event][name], value)


def _check(what: str, adapter: TypeAdapter[Any], value: Any) -> None:
    try:
        adapter.validate_python(value)
    except ValidationError:
        raise ValueError(f"{what} does not have the form that the audit log demands") from None
