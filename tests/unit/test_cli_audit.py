"""`forgettery audit verify` says what does not hold, and blames the log only where the log was changed."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import IntegrityViolation
from tests.unit.recorder import Recorder, run

ENTRY = {"index": 3, "column": "actor", "reason": "the column actor is not what the entry says"}
TRIGGER = {"index": None, "column": None, "reason": "the trigger audit_entry_refuses_update is missing"}
TABLE = {"index": 3, "column": "version.claim", "reason": "claim of version 2 of digits is exact"}


@pytest.mark.parametrize(
    ("problems", "state", "says"),
    [
        ([ENTRY], "BROKEN", ["the audit log was changed"]),
        ([TRIGGER], "every entry holds, BUT", ["restore the triggers"]),
        ([TABLE], "every entry holds, BUT", ["tables contradict the audit log"]),
        ([TRIGGER, TABLE], "every entry holds, BUT", ["restore the triggers", "tables contradict the audit log"]),
        ([ENTRY, TABLE], "BROKEN", ["the audit log was changed", "tables contradict the audit log"]),
    ],
)
def test_each_kind_of_fault_has_its_own_advice(
    recorder: Recorder, problems: list[dict[str, Any]], state: str, says: list[str]
) -> None:
    recorder.answers["GET /v1/audit/verify"] = {"ok": False, "size": 9, "root": "ab" * 32, "problems": problems}
    result = run(recorder, "audit", "verify")
    assert isinstance(result.exception, IntegrityViolation)
    advice = ("the audit log was changed", "restore the triggers", "tables contradict the audit log")
    assert [part for part in advice if part in str(result.exception)] == says
    assert f": {state}\n" in result.stdout
    assert all(problem["reason"] in result.stdout for problem in problems)


def test_a_log_that_holds_with_all_around_it_is_success(recorder: Recorder) -> None:
    recorder.answers["GET /v1/audit/verify"] = {"ok": True, "size": 9, "root": "ab" * 32, "problems": []}
    result = run(recorder, "audit", "verify")
    assert result.exit_code == 0
    assert result.stdout.endswith(": every entry holds\n")
