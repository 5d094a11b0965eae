"""Append to the log, and verify all of it.

Without anything kept outside the database, verification finds an entry, leaf hash, search column, tile or checkpoint that
was changed by itself, a gap, entries that changed places, an entry that `append` would have refused, and a tail that was cut
below a signed checkpoint. It cannot find a cut or a rewrite that takes tiles and checkpoints along: it shows only against a
checkpoint that somebody else has kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import Row, insert, select, text
from sqlalchemy.orm import Session

from app.audit import checkpoints, events, tiles
from app.audit.locking import lock
from app.contract.audit import AuditProblem, AuditVerification
from app.database.engine import database_now, is_writing
from app.database.tables import AuditEntryRow
from app.evidence.merkle import CompactRange, leaf_hash
from app.specs.originator import Originator

FORMAT = 1
"""Version of the entry's layout, in every entry."""
MAX_PROBLEMS = 100

_BATCH = 1000
_FIELDS = frozenset(
    ["format", "index", "at", "event", "actor", "request_id", "model", "version", "forget_request", "details"]
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_COPIES = ("at", "event", "actor", "request_id", "model", "version", "forget_request")

# As the driver gives them: a value of the wrong type must be named, not stop the reading.
_ROWS = """
    SELECT leaf_index, entry, leaf_hash, {at}, event, actor, request_id, model, version, {forget_request}
    FROM audit_entry WHERE leaf_index > :after ORDER BY leaf_index LIMIT :batch
"""
_UTC_TEXT = """to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at"""
_SQLITE_ROWS = text(_ROWS.format(at="at", forget_request="forget_request"))
_POSTGRESQL_ROWS = text(_ROWS.format(at=_UTC_TEXT, forget_request="forget_request::text AS forget_request"))


def append(
    session: Session,
    event: str,
    *,
    by: Originator,
    model: str | None = None,
    version: int | None = None,
    forget_request: UUID | None = None,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Log an event as the last step of the transaction that it tells of, and return its index.

    Raises ValueError for an event or value outside the table of `events`, RuntimeError in a reading session. A lock is
    held until the transaction ends, and everybody else who appends waits for it.
    """
    subject = {
        "actor": by.actor,
        "request_id": by.request_id,
        "model": model,
        "version": version,
        "forget_request": forget_request,
    }
    events.check(event, subject, details or {})
    index, last = _next_place(session)
    at = max(database_now(session), last)  # a clock may step back, the log does not
    content: dict[str, Any] = {
        **subject,
        "format": FORMAT,
        "index": index,
        "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "event": event,
        "forget_request": None if forget_request is None else str(forget_request),
        "details": dict(details or {}),
    }
    entry = rfc8785.dumps(content)
    row = {**subject, "leaf_index": index, "entry": entry, "leaf_hash": leaf_hash(entry), "at": at, "event": event}
    session.execute(insert(AuditEntryRow), row)
    tiles.write_completed(session, index + 1)
    return index


def verify(session: Session, hear: Callable[[dict[str, Any]], None] = lambda _: None) -> AuditVerification:
    """Recompute the whole log in the memory of one batch; the first problems come first, at most MAX_PROBLEMS.

    `hear` is told the content of each entry that holds, as long as fewer than MAX_PROBLEMS were found.
    """
    tree, stored_tiles, signed = CompactRange(), tiles.TileCheck(session), checkpoints.CheckpointCheck(session)
    problems, expected, latest, in_order = list[AuditProblem](), 0, "", True
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    for row in _rows(session, on_sqlite=on_sqlite):
        leaf = leaf_hash(row.entry if isinstance(row.entry, bytes) else b"")
        tree.append(leaf)
        in_order = in_order and row.leaf_index == expected  # behind a gap every tile is another
        if len(problems) < MAX_PROBLEMS:
            found, latest = _look(row, expected, latest, hear, on_sqlite=on_sqlite)
            problems += found
            problems += stored_tiles.add(leaf) if in_order else ()
            problems += signed.look(tree)
        expected = max(expected, row.leaf_index + 1)
    if in_order and len(problems) < MAX_PROBLEMS:
        problems += stored_tiles.surplus()
    if len(problems) < MAX_PROBLEMS:
        problems += signed.rest()
    return AuditVerification(ok=not problems, size=tree.size, root=tree.root().hex(), problems=problems[:MAX_PROBLEMS])


def _next_place(session: Session) -> tuple[int, datetime]:
    """The index of the next entry, and the time of the last one."""
    if not is_writing(session):
        raise RuntimeError("the audit log is written in the transaction of the change; use Database.writing()")
    lock(session)
    columns = select(AuditEntryRow.leaf_index, AuditEntryRow.at)
    last = session.execute(columns.order_by(AuditEntryRow.leaf_index.desc()).limit(1)).one_or_none()
    return (last.leaf_index + 1, last.at) if last else (0, _BEFORE_ALL)


def _rows(session: Session, *, on_sqlite: bool) -> Iterator[Row[Any]]:
    statement = _SQLITE_ROWS if on_sqlite else _POSTGRESQL_ROWS
    after = -(2**63)
    while batch := session.execute(statement, {"after": after, "batch": _BATCH}).all():
        yield from batch
        after = batch[-1].leaf_index


def _look(
    row: Row[Any], expected: int, latest: str, hear: Callable[[dict[str, Any]], None], *, on_sqlite: bool
) -> tuple[list[AuditProblem], str]:
    """The problems of a row, given the index that should come next and the latest time so far; and the new latest."""
    try:
        content = _parsed(row.entry)
    except ValueError as error:
        unreadable = AuditProblem(index=row.leaf_index, column="entry", reason=str(error))
        return [*_misplaced(row, expected), unreadable], latest
    found = [*_misplaced(row, expected), *_changed(row, content, on_sqlite=on_sqlite)]
    in_place = content["index"] == row.leaf_index  # the time of another says nothing of its neighbours
    if reason := _refusal(content, latest if in_place else ""):
        found.append(AuditProblem(index=row.leaf_index, column="entry", reason=reason))
        return found, latest
    if all(problem.index != row.leaf_index for problem in found):  # what is missing above it is no fault of its own
        hear(content)
    return found, content["at"] if in_place else latest


def _refusal(content: dict[str, Any], latest: str) -> str | None:
    """Why `append` would not have written this; None if it would."""
    at, request = content["at"], content["forget_request"]
    if not isinstance(at, str) or not _TIME.fullmatch(at):
        return "its time is none that this log writes"
    if at < latest:
        return "its time is before that of an entry above it"
    if not isinstance(content["event"], str) or not isinstance(content["details"], dict):
        return "its event is no text, or its details are no object"
    subject = {name: content[name] for name in ("actor", "request_id", "model", "version")}
    try:
        forget_request = None if request is None else UUID(request)
        events.check(content["event"], subject | {"forget_request": forget_request}, content["details"])
    except (ValueError, TypeError, AttributeError) as error:
        return f"nothing writes such an entry: {error}"
    return None


def _misplaced(row: Row[Any], expected: int) -> Iterator[AuditProblem]:
    if row.leaf_index > expected:
        yield AuditProblem(index=expected, column="leaf_index", reason=_missing(expected, row.leaf_index - 1))
    if row.leaf_index < expected:
        yield AuditProblem(index=row.leaf_index, column="leaf_index", reason="the index is below 0 or there twice")


def _changed(row: Row[Any], content: dict[str, Any], *, on_sqlite: bool) -> Iterator[AuditProblem]:
    if row.leaf_hash != leaf_hash(row.entry):
        reason = "the leaf hash is not that of the entry: one of the two was changed"
        yield AuditProblem(index=row.leaf_index, column="leaf_hash", reason=reason)
    if content["index"] != row.leaf_index:
        reason = f"the entry was written as number {content['index']}"
        yield AuditProblem(index=row.leaf_index, column="leaf_index", reason=reason)
    derived = _as_stored(content, on_sqlite=on_sqlite)
    for column in _COPIES:
        if getattr(row, column) != derived[column]:
            reason = f"the column {column} is not what the entry says"
            yield AuditProblem(index=row.leaf_index, column=column, reason=reason)


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"


def _parsed(entry: Any) -> dict[str, Any]:
    """The content of an entry; ValueError unless it is canonical and has the layout of its format."""
    if not isinstance(entry, bytes):
        raise ValueError("the entry is not bytes")  # noqa: TRY004  all that is wrong with an entry is one kind of error
    try:
        written = entry.decode("ascii")
        content = _DECODER.decode(written)
    except (ValueError, RecursionError):
        raise ValueError("the entry is not canonical JSON") from None
    if _ENCODER.encode(content) != written:
        raise ValueError("the entry is not canonical JSON")
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.keys() != _FIELDS:
        raise ValueError(f"the entry is not one of format {FORMAT}")
    return content


def _safe_integer(digits: str) -> int:
    number = int(digits)
    if abs(number) >= 2**53:
        raise ValueError("RFC 8785 knows no such integer")
    return number


def _refuse(number: str) -> None:
    raise ValueError(f"an entry holds no number like {number}")


# Of ASCII with safe integers and no floats this is RFC 8785, at a fifth of rfc8785's time (a test compares the two).
_DECODER = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse, parse_int=_safe_integer)
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _as_stored(content: dict[str, Any], *, on_sqlite: bool) -> dict[str, Any]:
    """The search columns that belong to an entry, as `_rows` reads them."""
    if not on_sqlite:
        return content
    at, forget_request = str(content["at"]), content["forget_request"]
    return {
        **content,
        "at": at.replace("T", " ").removesuffix("Z"),
        "forget_request": forget_request and str(forget_request).replace("-", ""),
    }
