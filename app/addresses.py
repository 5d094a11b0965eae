"""Addresses of servers: which are this very machine's, how they are shown, and where their paths begin."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_asked_under: ContextVar[str] = ContextVar("asked_under", default="")


def is_loopback(host: str) -> bool:
    """Whether a host name or address (an IPv6 one with or without brackets) leads to this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def without_credentials(url: str) -> str:
    """The URL, or the text given as one, without user name and password, so that a message may show it."""
    return re.sub(r"//[^/?#]*@", "//", url)


def is_path_prefix(path: str) -> bool:
    """Whether a path can stand before those of this server: /one or /one/two, without anything that has to be quoted."""
    return _PREFIX.fullmatch(path) is not None


@contextmanager
def asked_under(prefix: str) -> Iterator[None]:
    """While the block runs, the client finds the paths of this server only under this prefix."""
    token = _asked_under.set(prefix)
    try:
        yield
    finally:
        _asked_under.reset(token)


def followable(path: str) -> str:
    """A path of this server as the client can follow it; unchanged where there is no client, so that none is stored."""
    return _asked_under.get() + path
