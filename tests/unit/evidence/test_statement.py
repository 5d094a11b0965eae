"""Statements are canonical in-toto, say what the published schema says, and carry no float and no unknown field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema_rs import Draft202012Validator

from app.evidence import statement as module
from app.evidence.encoding import canonical
from app.evidence.findings import DoesNotHold, Reason
from app.evidence.predicate import LIMITS, Certificate, Target
from app.evidence.statement import PREDICATE_TYPE, STATEMENT_TYPE, Statement, json_schema
from app.specs.claims import Claim
from tests.unit.evidence.certificates import REQUEST, statement_on, write_model

SCHEMA = Path(module.__file__).with_name("unlearning-certificate-v1.schema.json")


@pytest.fixture
def statement(tmp_path: Path) -> Statement:
    return statement_on(write_model(tmp_path / "model", "weights"))


def changed(statement: Statement, change: Callable[[Any], object]) -> bytes:
    content = json.loads(statement.to_bytes())
    change(content)
    return canonical(content)


def reason_of(data: bytes) -> Reason:
    with pytest.raises(DoesNotHold) as refused:
        Statement.parse(data)
    return refused.value.reason


def test_a_statement_is_read_back(statement: Statement) -> None:
    assert Statement.parse(statement.to_bytes()) == statement


def test_it_is_an_in_toto_statement_about_every_file(statement: Statement) -> None:
    content = json.loads(statement.to_bytes())
    assert (content["_type"], content["predicateType"]) == (STATEMENT_TYPE, PREDICATE_TYPE)
    assert [subject["name"] for subject in content["subject"]] == ["manifest.json", "model.safetensors"]
    assert content["predicate"]["request"] == REQUEST
    assert content["predicate"]["limits"] == list(LIMITS)


def test_the_published_schema_is_that_of_the_models(statement: Statement) -> None:
    published = json.loads(SCHEMA.read_text())
    assert published == json_schema()
    validator = Draft202012Validator(published)
    validator.validate(json.loads(statement.to_bytes()))
    assert not validator.is_valid(json.loads(changed(statement, lambda found: found.update(extra=1))))


def test_claims_are_those_of_the_service() -> None:
    assert get_args(Certificate.model_fields["claim"].annotation) == get_args(Claim)


def figure(found: Any) -> Any:
    """The first figure of the statement."""
    return found["predicate"]["verification"]["criteria"][0]["figures"][0]


def test_a_claim_is_read_where_its_criteria_held(statement: Statement) -> None:
    def show(found: Any) -> None:
        found["predicate"]["claim"] = "approximate"
        for criterion in found["predicate"]["verification"]["criteria"]:
            criterion["power"] = criterion["figures"][0]["power"] = True

    assert Statement.parse(changed(statement, show)).predicate.claim == "approximate"

    def miss(found: Any) -> None:
        show(found)
        found["predicate"]["verification"]["criteria"][0]["passed"] = False

    assert reason_of(changed(statement, miss)) is Reason.STATEMENT_MALFORMED


CHANGES: dict[str, Callable[[Any], object]] = {
    "an unknown field": lambda found: found.update(extra=1),
    "an unknown field of the predicate": lambda found: found["predicate"].update(extra=1),
    "no subject": lambda found: found.update(subject=[]),
    "the same subject twice": lambda found: found["subject"].append(found["subject"][-1]),
    "subjects out of order": lambda found: found["subject"].reverse(),
    "a subject that is a path": lambda found: found["subject"][0].update(name="../key"),
    "a hidden name with a newline": lambda found: found["subject"][0].update(name="a\n"),
    "a digest of another kind": lambda found: found["subject"][0]["digest"].update(sha512="0"),
    "a digest in upper case": lambda found: found["subject"][0]["digest"].update(sha256="A" * 64),
    "a digest with a newline": lambda found: found["subject"][0]["digest"].update(sha256="a" * 64 + "\n"),
    "a figure that is a number": lambda found: figure(found).update(value=1),
    "a figure with an exponent": lambda found: figure(found).update(value="1e-3"),
    "a figure without an interval or the word that there is none": lambda found: figure(found).pop("interval"),
    "a figure that passes beyond its bound": lambda found: figure(found).update(value="0.06"),
    "a figure that fails within its bound": lambda found: figure(found).update(passed=False),
    "a figure that passes without a bound": lambda found: figure(found).update(direction="shown", atMost=None),
    "a figure whose direction is not that of its bound": lambda found: figure(found).update(direction="at-least"),
    "no criterion": lambda found: found["predicate"]["verification"].update(criteria=[]),
    "no criterion of the gate": lambda found: found["predicate"].update(gate=[]),
    "a criterion of the gate that was missed": lambda found: found["predicate"]["gate"][0].update(value="0.99"),
    "nothing that is not proved": lambda found: found["predicate"]["verification"].update(doesNotProve=[]),
    "a claim above the one sought": lambda found: found["predicate"].update(claim="exact"),
    "a claim without power": lambda found: found["predicate"].update(claim="approximate"),
    "an inconclusive request that claims more": lambda found: found["predicate"].update(
        verdict="inconclusive", claim="approximate"
    ),
    "a failed verdict": lambda found: found["predicate"].update(verdict="failed"),
    "a claim that is none": lambda found: found["predicate"].update(claim="certified"),
    "a version as text": lambda found: found["predicate"]["output"].update(version="2"),
    "a version that is true": lambda found: found["predicate"]["output"].update(version=True),
    "other limits": lambda found: found["predicate"].update(limits=["none"]),
    "no limits": lambda found: found["predicate"].update(limits=[]),
    "no target": lambda found: found["predicate"].update(
        target={"classes": [], "tasks": [], "commitment": None, "samples": None}
    ),
    "a local time": lambda found: found["predicate"]["times"].update(issuedAt="2026-11-01T10:00:00+01:00"),
    "a missing field": lambda found: found["predicate"].pop("method"),
    "the name of a field in code": lambda found: found["predicate"]["times"].update(issued_at="2026-11-01T10:00:10Z"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_statement_that_says_something_else_is_refused(statement: Statement, change: Callable[[Any], object]) -> None:
    assert reason_of(changed(statement, change)) is Reason.STATEMENT_MALFORMED


@pytest.mark.parametrize("name", ["_type", "predicateType"])
def test_a_statement_of_another_type_is_refused(statement: Statement, name: str) -> None:
    assert reason_of(changed(statement, lambda found: found.update({name: "other"}))) is Reason.PREDICATE_TYPE_WRONG
    assert reason_of(changed(statement, lambda found: found.pop(name))) is Reason.PREDICATE_TYPE_WRONG


def test_a_field_left_to_its_default_is_not_what_is_written(statement: Statement) -> None:
    assert reason_of(changed(statement, lambda found: found["predicate"].pop("limits"))) is Reason.NOT_CANONICAL

    def rename(found: Any) -> None:
        found["predicate"]["times"]["issued_at"] = found["predicate"]["times"].pop("issuedAt")

    assert reason_of(changed(statement, rename)) is Reason.NOT_CANONICAL


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b'{"a":1.5}', b'{"a":9007199254740992}'])
def test_what_is_no_statement_is_refused(data: bytes) -> None:
    assert reason_of(data) is Reason.STATEMENT_MALFORMED


def test_other_spacing_is_refused(statement: Statement) -> None:
    data = statement.to_bytes()
    for other in (data + b"\n", b" " + data, json.dumps(json.loads(data)).encode()):
        assert reason_of(other) is Reason.NOT_CANONICAL


def test_a_target_names_something() -> None:
    with pytest.raises(ValueError, match="a target names"):
        Target()
    assert Target(tasks=(0,)).tasks == (0,)
