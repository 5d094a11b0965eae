"""Verification as a numbered list of checks that ends at the first one that fails, with one named reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why evidence does not hold. The names are part of the interface: scripts may depend on them."""

    FILE_MISSING = "file-missing"
    FILE_TOO_LARGE = "file-too-large"
    NOT_CANONICAL = "not-canonical"
    """Bytes that a parser would forgive: other base64, other JSON, something before or after."""
    BUNDLE_MALFORMED = "bundle-malformed"
    MEDIA_TYPE_WRONG = "media-type-wrong"
    PAYLOAD_TYPE_WRONG = "payload-type-wrong"
    KEY_HINT_WRONG = "key-hint-wrong"
    KEY_UNKNOWN = "key-unknown"
    SIGNATURE_WRONG = "signature-wrong"
    STATEMENT_MALFORMED = "statement-malformed"
    PREDICATE_TYPE_WRONG = "predicate-type-wrong"
    NOTE_MALFORMED = "note-malformed"
    CHECKPOINT_MALFORMED = "checkpoint-malformed"
    ORIGIN_WRONG = "origin-wrong"
    PROOF_MALFORMED = "proof-malformed"
    NOT_INCLUDED = "not-included"
    NOT_CONSISTENT = "not-consistent"
    ROLLED_BACK = "rolled-back"
    FORKED = "forked"
    ENTRY_WRONG = "entry-wrong"
    """The logged entry is of another certificate, or of none."""
    SUBJECT_MISSING = "subject-missing"
    SUBJECT_CHANGED = "subject-changed"
    FILE_NOT_A_SUBJECT = "file-not-a-subject"
    TILE_WRONG = "tile-wrong"
    ROOT_WRONG = "root-wrong"


class DoesNotHold(ValueError):
    """Evidence does not hold, for one reason; the sentence says where and what was found."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Check:
    """One line of the list. `failure` is None where the check holds."""

    number: int
    title: str
    failure: DoesNotHold | None = None


@dataclass(frozen=True)
class Findings:
    """The checks that were made, in order; only the last one can have failed."""

    checks: tuple[Check, ...]

    @property
    def failure(self) -> DoesNotHold | None:
        """Why the evidence does not hold; None where every check does."""
        return self.checks[-1].failure

    def as_json(self) -> dict[str, object]:
        """`holds`, `reason` and `detail` (null where it holds), and the `checks` with `number`, `title`, `holds`."""
        return {
            "holds": self.failure is None,
            "reason": self.failure and str(self.failure.reason),
            "detail": self.failure and self.failure.detail,
            "checks": [
                {"number": check.number, "title": check.title, "holds": check.failure is None} for check in self.checks
            ],
        }


def examine(checks: Iterator[str]) -> Findings:
    """Run checks written as a generator that yields the title of each before it makes it; stops at the first failure."""
    titles: list[str] = []
    failure = None
    try:
        titles.extend(checks)
    except DoesNotHold as found:
        failure = found
    made = [Check(number, title) for number, title in enumerate(titles, start=1)]
    if failure is not None:
        made[-1] = Check(made[-1].number, made[-1].title, failure)
    return Findings(tuple(made))
