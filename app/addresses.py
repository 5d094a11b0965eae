"""Addresses of servers: which are this very machine's, and how they are shown."""

from __future__ import annotations

import ipaddress
import re

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


def is_loopback(host: str) -> bool:
    """Whether a host name or address (an IPv6 one with or without brackets) leads to this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def without_credentials(url: str) -> str:
    """The URL, or what was given as one, less user name and password: fit for a message."""
    return re.sub(r"//[^/?#]*@", "//", url)


def is_path_prefix(path: str) -> bool:
    """Whether a path can stand before those of this server: /one or /one/two, without anything that has to be quoted."""
    return _PREFIX.fullmatch(path) is not None
