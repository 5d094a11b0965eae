"""Whether the tables that the service works by say what the log says of versions, tombstones, requests and models.

No trigger guards those tables. What each row must hold follows from the entries, which are heard in one pass; then each
table is read once. Values are read as text where a type of the driver would stop at a wrong one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, String, Text, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.database.tables import ForgetRequestRow, ModelRow, TombstoneRow, VersionRow
from app.schemas import AuditProblem

_NAMED_CLASSES = 10
"""So many are spelled out in a reason."""
_LONGEST_VALUE = 200


@dataclass(frozen=True)
class _Said:
    """A value that a column must hold, and the entry that says so."""

    value: Any
    index: int


@dataclass
class _Buried:
    """What a completed request took away, and the entry that says so."""

    index: int = -1
    classes: set[int] = field(default_factory=set)
    num_samples: int = 0


_Row = dict[str, _Said]
_Key = TypeVar("_Key")


@dataclass
class Told:
    """What the tables must hold, by the entries read so far."""

    models: dict[str, _Row] = field(default_factory=dict)
    versions: dict[tuple[str, int], _Row] = field(default_factory=dict)
    requests: dict[str, _Row] = field(default_factory=dict)
    tombstones: dict[tuple[str, str], _Buried] = field(default_factory=dict)

    def hear(self, entry: Mapping[str, Any]) -> None:
        """Take in the next entry of the log."""
        index, model, details = entry["index"], entry["model"], entry["details"]
        version = self.versions.get((model, entry["version"]), {})
        match entry["event"]:
            case "model.created":  # once more for a name whose first training came to nothing
                row = {"dataset": details.get("dataset"), "serving_version": None, "deleted_at": "not set"}
                self.models[model] = _said(index, row)
            case "model.deleted":
                self.models.setdefault(model, {}).update(_said(index, {"serving_version": None, "deleted_at": "set"}))
            case "serving.moved":
                self.models.setdefault(model, {}).update(_said(index, {"serving_version": entry["version"]}))
            case "version.published":
                self.versions[model, entry["version"]] = _said(index, _published(entry))
            case "version.quarantined" if version:
                version["state"] = _Said("quarantined", index)
            case "version.purged" if version:
                version["state"] = _Said("purged", index)
            case "forget.completed":
                self._hear_completed(entry)

    def _hear_completed(self, entry: Mapping[str, Any]) -> None:
        index, details, request = entry["index"], entry["details"], _hex(entry["forget_request"])
        if request is None:
            return
        held = {"status": "completed", "verdict": details.get("verdict"), "claim": details.get("claim")}
        self.requests[request] = _said(index, held | {"version": entry["version"]})
        classes, num_samples = set(details.get("classes", [])), details.get("num_samples", 0)
        self.tombstones[entry["model"], request] = _Buried(index, classes, num_samples)


def contradictions(session: Session, told: Told) -> Iterator[AuditProblem]:
    """A problem for each value that is not what the log says, and each row that is missing or that no entry tells of."""
    yield from _differences("model", "name", told.models, _models(session))
    yield from _differences("version", "number", told.versions, _versions(session))
    yield from _differences("forget_request", "status", told.requests, _completed_requests(session))
    yield from _tombstone_differences(told.tombstones, _tombstones(session))


def _published(entry: Mapping[str, Any]) -> dict[str, Any]:
    details = entry["details"]
    return {
        "state": "available",
        "origin": details.get("origin"),
        "parent": details.get("parent_version"),
        "digest": details.get("digest"),
        "manifest_digest": details.get("manifest_digest"),
        "claim": details.get("claim"),
        "forgotten": {
            "classes": details.get("forgotten"),
            "tasks": details.get("tasks", []),
            "num_samples": details.get("num_samples", 0),
        },
        "forget_request_id": _hex(entry["forget_request"]),
    }


def _said(index: int, values: Mapping[str, Any]) -> _Row:
    return {column: _Said(value, index) for column, value in values.items()}


def _differences(
    table: str, identifier: str, told: Mapping[_Key, _Row], held: Iterable[tuple[_Key, Mapping[str, Any]]]
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
    if table == "version":
        return f"version {key[1]} of {key[0]}"
    return f"the completed forget request {key}" if table == "forget_request" else f"the model {key}"


def _models(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    columns = select(ModelRow.name, ModelRow.dataset, ModelRow.serving_version, ModelRow.deleted_at.is_not(None))
    for name, dataset, serving, deleted in session.execute(columns):
        held = {"dataset": dataset, "serving_version": serving, "deleted_at": "set" if deleted else "not set"}
        yield name, held


def _versions(session: Session) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    plain = ("number", "state", "origin", "parent", "digest", "manifest_digest", "claim")
    columns = [
        ModelRow.name.label("model"),
        *(getattr(VersionRow, name) for name in plain),
        cast(VersionRow.forgotten, Text).label("forgotten"),
        _as_text(VersionRow.forget_request_id).label("forget_request_id"),
    ]
    statement = select(*columns).join(ModelRow, ModelRow.id == VersionRow.model_id)
    for row in session.execute(statement.order_by(ModelRow.name, VersionRow.number)).mappings():
        changed = {"forgotten": _content(row["forgotten"]), "forget_request_id": _hex(row["forget_request_id"])}
        yield (row["model"], row["number"]), {**row, **changed}


def _completed_requests(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    plain = ("status", "verdict", "claim", "version")
    columns = [_as_text(ForgetRequestRow.id).label("id"), *(getattr(ForgetRequestRow, name) for name in plain)]
    for row in session.execute(select(*columns).where(ForgetRequestRow.status == "completed")).mappings():
        yield str(_hex(row["id"])), dict(row)


def _tombstones(session: Session) -> dict[tuple[str, str], _Buried]:
    request = _as_text(TombstoneRow.forget_request_id)
    joined = ModelRow.id == TombstoneRow.model_id
    classes = select(ModelRow.name, request, TombstoneRow.item).join(ModelRow, joined)
    samples = select(ModelRow.name, request, func.count()).join(ModelRow, joined).group_by(ModelRow.name, request)
    held: dict[tuple[str, str], _Buried] = defaultdict(_Buried)
    for model, forget_request, item in session.execute(classes.where(TombstoneRow.kind == "class")):
        held[model, str(_hex(forget_request))].classes.add(item)
    for model, forget_request, count in session.execute(samples.where(TombstoneRow.kind == "sample")):
        held[model, str(_hex(forget_request))].num_samples = count
    return held


def _tombstone_differences(
    told: Mapping[tuple[str, str], _Buried], held: Mapping[tuple[str, str], _Buried]
) -> Iterator[AuditProblem]:
    for key in {**told, **held}:
        said, found = told.get(key, _Buried()), held.get(key, _Buried())
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


def _hex(identifier: str | None) -> str | None:
    """One spelling of an id: PostgreSQL writes hyphens, SQLite does not."""
    return None if identifier is None else identifier.replace("-", "")


def _content(written: str | None) -> Any:
    try:
        return None if written is None else json.loads(written)
    except ValueError:
        return written
