"""Which addresses of databases this program can use: whatever is wrong with one is found before anything is started."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit, urlunsplit

from pydantic import PostgresDsn, TypeAdapter, ValidationError

from app.addresses import without_credentials

SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql+psycopg://", "postgresql://", "postgres://")


def demand_usable(url: str) -> None:
    """Raise ValueError with a sentence that repeats nothing of the address, which may hold a password."""
    if url.startswith(SQLITE):
        _demand_file(url.removeprefix(SQLITE))
    elif url.startswith(_POSTGRESQL):
        _demand_postgresql(url)
    else:
        raise ValueError(f"it must begin with {SQLITE}, {_POSTGRESQL[0]} or {_POSTGRESQL[1]}")


def where(url: str) -> str:
    """Which database a usable address leads to, and what set it, for a message."""
    if url.startswith(SQLITE):
        return f"the file is {url.removeprefix(SQLITE)}, by FORGETTERY_HOME or FORGETTERY_DATABASE_URL"
    without_options = url.partition("?")[0]  # one of them may be a password
    return f"FORGETTERY_DATABASE_URL leads to {without_credentials(without_options)}"


def _demand_file(path: str) -> None:
    if path.startswith((":memory:", "file:")) or not path:
        raise ValueError("an address of SQLite must name a file; empty, the setting is a file in the home")
    if "?" in path:
        raise ValueError("an address of SQLite takes no options; leave out what follows the question mark")


def _demand_postgresql(url: str) -> None:
    parts = urlsplit(url)
    if "@" in parts.path + parts.query + parts.fragment:  # else a part of a password would be taken for a port
        raise ValueError("a / ? # or @ in a user name, password or option must be percent-encoded")
    try:
        TypeAdapter(PostgresDsn).validate_python(_with_host(url))
    except ValidationError as error:  # it would repeat the address
        raise ValueError(error.errors(include_input=False)[0]["msg"]) from None
    _demand_known_options(url)


def _with_host(url: str) -> str:
    """The address with a host for pydantic, which knows none whose host is a socket's folder, named in the query."""
    parts = urlsplit(url)
    if parts.hostname is None and "host" in parse_qs(parts.query):
        return urlunsplit(parts._replace(netloc=parts.netloc + "localhost"))
    return url


def _demand_known_options(url: str) -> None:
    from psycopg import ProgrammingError  # noqa: PLC0415  who uses SQLite loads no driver of PostgreSQL
    from psycopg.conninfo import timeout_from_conninfo  # noqa: PLC0415  for the same reason
    from psycopg.pq import Conninfo  # noqa: PLC0415  for the same reason
    from sqlalchemy import make_url  # noqa: PLC0415  for the same reason
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415  for the same reason

    try:
        options = dict(make_url(url).query)
    except (ArgumentError, ValueError):
        raise ValueError("it cannot be read; several hosts go into the query: ?host=one:5432&host=two:5432") from None
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    if unknown := sorted(options.keys() - known):
        raise ValueError(f"PostgreSQL has no option {', '.join(unknown)}; correct it or leave it out")
    try:
        timeout_from_conninfo({"connect_timeout": str(options.get("connect_timeout", "10"))})
    except ProgrammingError:
        raise ValueError("the option connect_timeout must be a number of seconds") from None
