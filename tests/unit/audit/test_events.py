"""Nothing but what the table allows may be logged."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit import events

JOB = str(uuid4())
SUBJECT: dict[str, Any] = {
    "actor": "local",
    "request_id": str(uuid4()),
    "model": "digits",
    "version": 1,
    "forget_request": uuid4(),
}


def test_the_events_are_those_of_the_contract() -> None:
    assert set(events.EVENTS) == {
        "model.created",
        "model.deleted",
        "training.requested",
        "training.completed",
        "training.failed",
        "training.cancelled",
        "forget.requested",
        "forget.started",
        "forget.completed",
        "forget.failed",
        "forget.cancelled",
        "version.published",
        "version.quarantined",
        "version.purged",
        "version.corrupted",
        "serving.moved",
        "guard.deleted",
        "relearning.refused",
        "verification.completed",
        "api-key.created",
        "api-key.revoked",
        "signing-key.created",
        "signing-key.retired",
    }


def test_what_the_table_allows_passes() -> None:
    digest = "sha256:" + "0" * 64
    events.check("forget.completed", SUBJECT, {"job": JOB, "classes": [2, 5], "digest": digest, "claim": "edited"})
    events.check("forget.completed", SUBJECT, {"refusal_rate": events.decimal_text(0.9871)})
    events.check("training.failed", SUBJECT, {"job": JOB, "problem": "gate-missed"})
    events.check("api-key.created", SUBJECT, {"key": JOB, "scopes": ["read", "admin"]})
    events.check("model.created", dict.fromkeys(SUBJECT, None) | {"actor": "admin"}, {"dataset": "mnist"})


@pytest.mark.parametrize(
    ("event", "details"),
    [
        ("model.renamed", {}),
        ("model.deleted", {"reason": "erasure request 17"}),
        ("forget.requested", {"reason": "erasure request 17"}),
        ("forget.requested", {"strategy": "because Ada asked"}),
        ("forget.requested", {"classes": ["Ada"]}),
        ("forget.requested", {"classes": [True]}),
        ("forget.requested", {"classes": "2"}),
        ("forget.requested", {"seed": 0.5}),
        ("forget.completed", {"refusal_rate": 0.98}),
        ("forget.completed", {"refusal_rate": "high"}),
        ("forget.completed", {"refusal_rate": "1e-3"}),
        ("training.failed", {"problem": "No space left on device: '/home/ada/models'"}),
        ("training.failed", {"problem": {"detail": "x"}}),
        ("training.requested", {"job": "Ada's job"}),
        ("training.requested", {"job": JOB + "\n"}),
        ("version.purged", {"digest": "sha256:short"}),
        ("api-key.created", {"name": "Ada's laptop"}),
        ("api-key.created", {"scopes": ["everything"]}),
    ],
)
def test_free_text_floats_and_unknown_fields_are_refused(event: str, details: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not an event|no detail of this name|does not have the form"):
        events.check(event, SUBJECT, details)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actor", "Ada Lovelace"),
        ("actor", "ada@example.org"),
        ("actor", None),
        ("actor", "key:1"),
        ("request_id", "client-chosen"),
        ("model", "Ada's model"),
        ("version", 0),
        ("version", True),
        ("version", 1.0),
        ("forget_request", "17"),
    ],
)
def test_a_subject_that_is_not_a_role_or_an_id_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} does not have the form"):
        events.check("model.deleted", {**SUBJECT, field: value}, {})


def test_a_refused_value_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ValueError, match="form") as caught:
        events.check("training.failed", SUBJECT, {"problem": "secret of Ada"})
    assert "Ada" not in repr(caught.value)
    assert caught.value.__suppress_context__


@given(st.floats(0, 1) | st.floats(-1e6, 1e6).map(lambda value: round(value, 6)))
def test_decimal_text_says_the_same_number_without_exponent(value: float) -> None:
    written = events.decimal_text(value)
    assert "e" not in written
    assert float(written) == value
