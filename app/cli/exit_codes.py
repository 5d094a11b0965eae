"""The error tree as exit codes, and an error as one paragraph."""

from __future__ import annotations

from app.errors import (
    Conflict,
    Forbidden,
    ForgetteryError,
    GateMissed,
    Gone,
    IntegrityViolation,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)

EXIT_CODES: dict[type[ForgetteryError], int] = {
    ForgetteryError: 1,
    InvalidInput: 3,
    PayloadTooLarge: 3,
    UnsupportedMediaType: 3,
    Unauthenticated: 4,
    Forbidden: 4,
    NotFound: 5,
    Conflict: 6,
    Gone: 7,
    Unavailable: 8,
    IntegrityViolation: 9,
    GateMissed: 10,
}

INTERRUPTED = 130
"""128 plus the number of SIGINT, as in shells."""

EXIT_CODE_HELP = (
    "Exit codes: 0 done, 1 unexpected, 2 wrong usage, 3 invalid input, 4 not allowed, 5 not found, 6 conflict, "
    "7 gone, 8 out of reach, 9 evidence or bytes do not hold, 10 the model did not forget."
)


def exit_code(error: ForgetteryError) -> int:
    """The exit code of the nearest ancestor in the table."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def paragraph(error: ForgetteryError) -> str:
    """What went wrong and where, for a person."""
    faults = [f"  {fault.pointer or '(whole request)'}: {fault.detail}" for fault in error.errors]
    return "\n".join([f"Error: {error.title}: {error.detail}", *faults])
