"""Whether the tables that the service works by say what the log says: models, versions, requests, verifications, keys.

No trigger guards those tables. What each row must hold follows from the entries, which are heard in one pass; after
that each table is read once. Values are read as text where a type of the driver would stop at a wrong one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from textwrap import shorten
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, String, Text, case, cast, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.contract.audit import AuditProblem
from app.database.tables import ApiKeyRow, ForgetRequestRow, ModelRow, TombstoneRow, VerificationRow, VersionRow
from app.operations.administration.told_by_log import ASKED, Buried, Row, Told, one_spelling

_NAMED_CLASSES = 10
"""The number of classes that a reason spells out."""
_LONGEST_VALUE = 200

_Key = TypeVar("_Key")


def contradictions(session: Session, told: Told) -> Iterator[AuditProblem]:
    """A problem for each value that is not what the log says, and each row that is missing or that no entry tells of."""
    yield from _differences("model", "name", told.models, _models(session))
    yield from _differences("version", "number", told.versions, _versions(session))
    yield from _differences("forget_request", "id", told.requests, _requests(session))
    yield from _differences("verification", "job_id", told.verifications, _verifications(session))
    yield from _differences("api_key", "id", told.api_keys, _api_keys(session))
    yield from _tombstone_differences(told.tombstones, _tombstones(session))


def _differences(
    table: str, identifier: str, told: Mapping[_Key, Row], held: Iterable[tuple[_Key, Mapping[str, Any]]]
) -> Iterator[AuditProblem]:
    missing = dict(told)
    for key, values in held:
        row = missing.pop(key, None)
        if row is None:
            reason = f"{_named(table, key)} is in the table, but no entry that holds tells of it"
            yield AuditProblem(index=None, column=f"{table}.{identifier}", reason=reason)
            continue
        for column, said in row.items():
            if values[column] != said.value:
                reason = (
                    f"{column} of {_named(table, key)} is {_shown(values[column])}; the log says {_shown(said.value)}"
                )
                yield AuditProblem(index=said.index, column=f"{table}.{column}", reason=reason)
    for key, row in missing.items():
        reason = f"{_named(table, key)} is not in the table as the log says"
        first = min(said.index for said in row.values())
        yield AuditProblem(index=first, column=f"{table}.{identifier}", reason=reason)


def _named(table: str, key: Any) -> str:
    match table:
        case "version":
            return f"version {key[1]} of {key[0]}"
        case "verification":
            return f"the verification by job {key}"
        case "api_key":
            return f"the API key {key}"
        case _:
            return f"the {table.replace('_', ' ')} {key}"


def _models(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    plain = [getattr(ModelRow, name) for name in ("name", "dataset", "serving_version")]
    architecture = cast(ModelRow.architecture, Text).label("architecture")
    for row in session.execute(select(*plain, architecture, _is_set(ModelRow.deleted_at))).mappings():
        built = _content(row["architecture"])
        yield row["name"], {**row, "architecture": built.get("type") if isinstance(built, dict) else built}


def _versions(session: Session) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    plain = ("number", "state", "origin", "parent", "digest", "manifest_digest", "claim")
    columns = [
        ModelRow.name.label("model"),
        *(getattr(VersionRow, name) for name in plain),
        cast(VersionRow.forgotten, Text).label("forgotten"),
        *map(_is_set, (VersionRow.corrupted_at, VersionRow.guard_deleted_at, VersionRow.guard_destroyed_at)),
        _as_text(VersionRow.forget_request_id).label("forget_request_id"),
    ]
    statement = select(*columns).join(ModelRow, ModelRow.id == VersionRow.model_id)
    for row in session.execute(statement.order_by(ModelRow.name, VersionRow.number)).mappings():
        changed = {"forgotten": _content(row["forgotten"]), "forget_request_id": one_spelling(row["forget_request_id"])}
        yield (row["model"], row["number"]), {**row, **changed}


def _requests(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    plain = ("status", "verdict", "claim", "parent_version", "version", *ASKED)
    columns = [
        ModelRow.name.label("model"),
        _as_text(ForgetRequestRow.id).label("id"),
        cast(ForgetRequestRow.target, Text).label("target"),
        *(getattr(ForgetRequestRow, name) for name in plain),
    ]
    statement = select(*columns).join(ModelRow, ModelRow.id == ForgetRequestRow.model_id)
    for row in session.execute(statement).mappings():
        yield one_spelling(row["id"]), {**row, "target": _without_ids(_content(row["target"]))}


def _verifications(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    """Verifications that have found something; no entry of the log tells of others."""
    plain = ("version", "depth", "digest", "verdict", "claim")
    columns = [
        ModelRow.name.label("model"),
        _as_text(VerificationRow.job_id).label("job_id"),
        _as_text(VerificationRow.forget_request_id).label("forget_request_id"),
        *(getattr(VerificationRow, name) for name in plain),
    ]
    ended = (VerificationRow.verdict, VerificationRow.claim, VerificationRow.completed_at)
    statement = select(*columns).join(ModelRow, ModelRow.id == VerificationRow.model_id)
    for row in session.execute(statement.where(or_(*(column.is_not(None) for column in ended)))).mappings():
        yield one_spelling(row["job_id"]), {**row, "forget_request_id": one_spelling(row["forget_request_id"])}


def _api_keys(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    columns = select(_as_text(ApiKeyRow.id), cast(ApiKeyRow.scopes, Text), _is_set(ApiKeyRow.revoked_at))
    for key, scopes, revoked in session.execute(columns):
        yield one_spelling(key), {"scopes": _content(scopes), "revoked_at": revoked}


def _without_ids(target: Any) -> Any:
    """What the log says of a target, however the table holds it."""
    samples = target.get("samples") if isinstance(target, dict) else None
    return {"num_samples": len(samples)} if isinstance(samples, list) else target


def _tombstones(session: Session) -> dict[tuple[str, str], Buried]:
    request = _as_text(TombstoneRow.forget_request_id)
    joined = ModelRow.id == TombstoneRow.model_id
    classes = select(ModelRow.name, request, TombstoneRow.item).join(ModelRow, joined)
    samples = select(ModelRow.name, request, func.count()).join(ModelRow, joined).group_by(ModelRow.name, request)
    held: dict[tuple[str, str], Buried] = defaultdict(Buried)
    for model, forget_request, item in session.execute(classes.where(TombstoneRow.kind == "class")):
        held[model, one_spelling(forget_request)].classes.add(item)
    for model, forget_request, count in session.execute(samples.where(TombstoneRow.kind == "sample")):
        held[model, one_spelling(forget_request)].num_samples = count
    return held


def _tombstone_differences(
    told: Mapping[tuple[str, str], Buried], held: Mapping[tuple[str, str], Buried]
) -> Iterator[AuditProblem]:
    for key in {**told, **held}:
        said, found = told.get(key, Buried()), held.get(key, Buried())
        faults = [
            _of_classes("there is no tombstone of", said.classes - found.classes),
            _of_classes("the log knows of no tombstone of", found.classes - said.classes),
        ]
        if said.num_samples != found.num_samples:
            faults.append(f"there are tombstones of {found.num_samples} samples, the log says {said.num_samples}")
        index = said.index if key in told else None
        for fault in filter(None, faults):
            reason = f"{fault}; forget request {key[1]} of {key[0]}"
            yield AuditProblem(index=index, column="tombstone.item", reason=reason)


def _of_classes(fault: str, classes: Collection[int]) -> str | None:
    if not classes:
        return None
    written = sorted(map(str, classes), key=lambda number: (len(number), number))  # SQLite may hold what is no number
    first = ", ".join(written[:_NAMED_CLASSES])
    more = f" and {len(classes) - _NAMED_CLASSES} more" if len(classes) > _NAMED_CLASSES else ""
    return f"{fault} {'class' if len(classes) == 1 else 'classes'} {first}{more}"


def _shown(value: Any) -> str:
    return shorten(str(value), _LONGEST_VALUE, placeholder=" …")


def _as_text(column: InstrumentedAttribute[Any]) -> ColumnElement[str]:
    return cast(column, String(36))


def _is_set(column: InstrumentedAttribute[datetime | None]) -> ColumnElement[str]:
    return case((column.is_(None), "not set"), else_="set").label(column.key)


def _content(written: str | None) -> Any:
    try:
        return None if written is None else json.loads(written)
    except ValueError:
        return written
