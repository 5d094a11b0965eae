"""An API key as text that can travel: white space around it is no part of it, and what no HTTP header carries is refused."""

from __future__ import annotations


def sendable(key: str) -> str:
    """The key without the white space around it, empty for none; raises ValueError, whose sentence does not repeat it."""
    trimmed = key.strip()
    if key and not trimmed:
        raise ValueError(
            "the key is nothing but white space; set it to the key, or leave it out if there is to be none"
        )
    if not (trimmed.isascii() and trimmed.isprintable()):
        raise ValueError(
            "the key holds a character that cannot be sent in an HTTP header; use letters, digits and signs of ASCII"
        )
    return trimmed
