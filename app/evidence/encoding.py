"""Decoding without forgiveness: base64, decimal numbers and JSON that could have been written in one way only."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

import rfc8785

from app.evidence.findings import DoesNotHold, Reason

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_MAX_SAFE_INTEGER = 2**53 - 1


def encode_base64(content: bytes) -> str:
    """Standard base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(content).decode()


def decode_base64(text: str) -> bytes:
    """The bytes of standard base64; raises ValueError for any other alphabet, padding or unused bits that are set."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise ValueError("not base64") from fault
    if encode_base64(content) != text:
        raise ValueError("base64 that is not canonical")
    return content


def decode_number(text: str) -> int:
    """A number from 0 to below 10**19 in ASCII digits without leading zeros; raises ValueError for anything else."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a decimal number without leading zeros")
    return int(text)


def canonical(content: Any) -> bytes:
    """JSON as RFC 8785 writes it; the only JSON that is signed or logged here."""
    return rfc8785.dumps(content)


def decode_canonical(data: bytes, malformed: Reason) -> Any:
    """The value of canonical JSON (RFC 8785) without floats.

    Raises DoesNotHold, `malformed` where it is no such JSON and `not-canonical` where the same value is written otherwise.
    """
    try:
        content = json.loads(data.decode(), parse_int=_safe_integer, parse_float=_no_float, parse_constant=_no_float)
        written = canonical(content)
    except (ValueError, RecursionError) as fault:
        raise DoesNotHold(malformed, f"not JSON that can be checked: {fault}") from fault
    if written != data:
        raise DoesNotHold(Reason.NOT_CANONICAL, "the JSON is not written as RFC 8785 writes it")
    return content


def _safe_integer(digits: str) -> int:
    number = int(digits)
    if abs(number) > _MAX_SAFE_INTEGER:
        raise ValueError("an integer beyond 2**53")
    return number


def _no_float(number: str) -> None:
    raise ValueError(f"a number that is not an integer: {number}")
