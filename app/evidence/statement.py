"""What a certificate says: an in-toto Statement v1 about the files of a new version, with our predicate.

Fields are never added, removed or changed under one predicate type; the published JSON Schema
(`unlearning-certificate-v1.schema.json`) is that of these models. All figures are decimal strings, since no two programs
agree on how to write a float. The statement is written once, as RFC 8785 has it, and those bytes are signed and logged.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from app.evidence.encoding import canonical, decode_canonical
from app.evidence.findings import DoesNotHold, Reason

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:forgettery:unlearning-certificate:v1"
LIMITS = (
    "This certificate states what was done and measured. It does not prove that no trace of the target remains.",
    "The measurements are those of the operator, on the data, with the seed and in the environment named by digest.",
    "It speaks of the files listed as subjects alone: not of backups, of other models, or of copies held elsewhere.",
    "The signatures show who states this and that it was not changed since; they do not show that it is true.",
)
"""What a certificate does not prove; every certificate carries these sentences."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Decimal = Annotated[str, Field(pattern=r"^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,20})?$")]
Count = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,18})$")]
Time = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$")]
Origin = Annotated[str, Field(pattern=r"^[^\s+]{1,200}$")]
VersionNumber = Annotated[int, Field(ge=1, lt=2**31)]
Indexes = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(max_length=10_000)]


class _Part(BaseModel):
    """Nothing but the named fields, of exactly their types."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class Digest(_Part):
    """A digest of bytes."""

    sha256: Sha256


class Subject(_Part):
    """One file of the new version."""

    name: Name
    digest: Digest


class ModelVersion(_Part):
    """A version of a model, by name, number and the digest of its manifest."""

    model: Name
    version: VersionNumber
    digest: Digest


class SampleSet(_Part):
    """A keyed commitment of a set of samples: the Merkle root of their sorted HMACs, and how many they are."""

    root: Sha256
    count: Count


class Target(_Part):
    """What was to be forgotten: classes or tasks by index, or a commitment of either or of samples."""

    classes: Indexes = ()
    tasks: Indexes = ()
    commitment: Sha256 | None = None
    samples: SampleSet | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Target:
        if not (self.classes or self.tasks or self.commitment or self.samples):
            raise ValueError("a target names classes, tasks, samples or a commitment")
        return self


class Method(_Part):
    """How it was to be forgotten."""

    name: Name
    parameters_digest: Digest
    """Of the parameters as canonical JSON."""
    seed: Count


class Build(_Part):
    """What computed it."""

    forgettery: Annotated[str, Field(max_length=100)]
    """Version of the service."""
    code_digest: Digest
    environment_digest: Digest


class Measurement(_Part):
    """One figure, before and after, beside that of the reference and what was demanded."""

    metric: Name
    metric_version: Count
    before: Decimal | None
    after: Decimal
    reference: Decimal | None
    """Of a model trained without the target."""
    threshold: Decimal | None
    passed: bool | None
    """Null where nothing was demanded."""


class Times(_Part):
    """When it was asked, done and stated, in UTC."""

    received_at: Time
    started_at: Time
    finished_at: Time
    issued_at: Time


class RequestEntry(_Part):
    """The entry of the request in the log, before this certificate's own."""

    origin: Origin
    index: Count
    leaf_hash: Sha256


class Certificate(_Part):
    """The predicate: what was asked, done and measured, and what all of it does not prove."""

    request: Id
    input: ModelVersion
    output: ModelVersion
    target: Target
    method: Method
    build: Build
    claim: Literal["suppressed", "edited", "approximate", "exact"]
    verdict: Literal["passed", "inconclusive"]
    """A failed request has no certificate."""
    measurements: Annotated[tuple[Measurement, ...], Field(min_length=1, max_length=10_000)]
    times: Times
    log: RequestEntry
    limits: tuple[str, ...] = LIMITS

    @model_validator(mode="after")
    def _states_its_limits(self) -> Certificate:
        if self.limits != LIMITS:
            raise ValueError("a certificate carries the sentences on what it does not prove, word for word")
        return self


def _sorted_names(subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
    names = [subject.name for subject in subjects]
    if names != sorted(set(names)):
        raise ValueError("subjects are sorted by name, each once")
    return subjects


Subjects = Annotated[tuple[Subject, ...], Field(min_length=1, max_length=10_000), AfterValidator(_sorted_names)]


class Statement(_Part):
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
