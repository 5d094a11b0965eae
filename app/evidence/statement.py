"""What a certificate says: an in-toto Statement v1 about the files of a new version, with our predicate.

The statement is written once, in the form of RFC 8785, and those bytes are signed and logged.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from app.evidence.encoding import canonical, decode_canonical
from app.evidence.findings import DoesNotHold, Reason
from app.evidence.predicate import Certificate, Part, Subject

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:forgettery:unlearning-certificate:v1"


def _sorted_names(subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
    names = [subject.name for subject in subjects]
    if names != sorted(set(names)):
        raise ValueError("subjects are sorted by name, each once")
    return subjects


Subjects = Annotated[tuple[Subject, ...], Field(min_length=1, max_length=10_000), AfterValidator(_sorted_names)]


class Statement(Part):
    """An in-toto Statement v1 (https://in-toto.io/Statement/v1) whose subjects are every file of the new version."""

    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")] = (
        "https://in-toto.io/Statement/v1"
    )
    subject: Subjects
    predicate_type: Literal["urn:forgettery:unlearning-certificate:v1"] = "urn:forgettery:unlearning-certificate:v1"
    predicate: Certificate

    def to_bytes(self) -> bytes:
        """The bytes to sign and log."""
        return canonical(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def parse(cls, data: bytes) -> Statement:
        """Read what `to_bytes` wrote.

        Raises DoesNotHold: `predicate-type-wrong` for a statement of another kind, `statement-malformed`,
        `not-canonical`.
        """
        content = decode_canonical(data, Reason.STATEMENT_MALFORMED)
        _check_types(content)
        try:
            statement = cls.model_validate_json(data, strict=True)
        except ValidationError as fault:
            first = fault.errors()[0]
            where = "/".join(map(str, first["loc"]))
            raise DoesNotHold(Reason.STATEMENT_MALFORMED, f"/{where}: {first['msg']}") from fault
        # A field left out takes its default, and so is not what would have been written.
        if statement.to_bytes() != data:
            raise DoesNotHold(Reason.NOT_CANONICAL, "the statement is not written as its type demands")
        return statement


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a statement."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": PREDICATE_TYPE,
        **Statement.model_json_schema(by_alias=True, mode="serialization"),
    }


def _check_types(content: Any) -> None:
    if not isinstance(content, dict):
        raise DoesNotHold(Reason.STATEMENT_MALFORMED, "a statement is a JSON object")
    for name, wanted in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if content.get(name) != wanted:
            raise DoesNotHold(Reason.PREDICATE_TYPE_WRONG, f"{name} is not {wanted}")
