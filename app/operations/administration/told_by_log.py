"""What the tables of the service must hold, as the log's entries say when they are heard one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.operations.forgetting import targets
from app.specs.target import Target

ASKED = (
    "method",
    "requested_method",
    "strategy",
    "scope",
    "refusal",
    "reference",
    "num_references",
    "min_claim",
    "seed",
)
"""Columns of a forget request that its first entry tells of, by the same names."""
_CHANGED: Mapping[str, Mapping[str, str]] = {
    "version.quarantined": {"state": "quarantined"},
    "version.purged": {"state": "purged"},
    "version.corrupted": {"corrupted_at": "set"},
    "guard.deleted": {"guard_deleted_at": "set", "guard_destroyed_at": "set"},
}
"""The columns of a version that such an event sets, with their values from then on."""


@dataclass(frozen=True)
class Said:
    """A value that a column must hold, and the entry that says so."""

    value: Any
    index: int


@dataclass
class Buried:
    """What a completed request took away, and the entry that says so."""

    index: int = -1
    classes: set[int] = field(default_factory=set)
    num_samples: int = 0


Row = dict[str, Said]


@dataclass
class Told:
    """What the entries heard so far say that the tables hold."""

    models: dict[str, Row] = field(default_factory=dict)
    versions: dict[tuple[str, int], Row] = field(default_factory=dict)
    requests: dict[str, Row] = field(default_factory=dict)
    verifications: dict[str, Row] = field(default_factory=dict)
    """Verifications, by the job that made them."""
    api_keys: dict[str, Row] = field(default_factory=dict)
    tombstones: dict[tuple[str, str], Buried] = field(default_factory=dict)

    def hear(self, entry: Mapping[str, Any]) -> None:
        """Take in the next entry of the log."""
        index, model, details = entry["index"], entry["model"], entry["details"]
        match entry["event"]:
            case "model.created":  # once more for a name whose first training came to nothing
                row = {name: details.get(name) for name in ("dataset", "architecture")}
                row |= {"serving_version": None, "deleted_at": "not set"}
                self.models[model] = _said(index, row)
            case "model.deleted":
                self.models.setdefault(model, {}).update(_said(index, {"serving_version": None, "deleted_at": "set"}))
            case "serving.moved":
                self.models.setdefault(model, {}).update(_said(index, {"serving_version": entry["version"]}))
            case "version.published":
                self.versions[model, entry["version"]] = _said(index, _published(entry))
            case "verification.completed":
                self.verifications[one_spelling(details.get("job"))] = _said(index, _verified(entry))
            case "api-key.created" | "api-key.revoked":
                self.api_keys[one_spelling(details.get("key"))] = _said(index, _key(entry))
            case event if event in _CHANGED:
                self.versions.get((model, entry["version"]), {}).update(_said(index, _CHANGED[event]))
            case event if event.startswith("forget.") and entry["forget_request"] is not None:
                self._hear_of_request(entry, self.requests.setdefault(one_spelling(entry["forget_request"]), {}))

    def _hear_of_request(self, entry: Mapping[str, Any], request: Row) -> None:
        index, details = entry["index"], entry["details"]
        match entry["event"]:
            case "forget.requested":
                request.update(_said(index, _requested(entry)))
            case "forget.started":
                request["status"] = Said("running", index)
                asked = request.get("target")
                if asked is not None and "classes" in asked.value:
                    left = targets.without_forgotten(Target.of(asked.value), self._forgotten(entry["model"]))
                    request["target"] = Said(left.as_json(), asked.index)
            case "forget.completed":
                request.update(_said(index, _completed(entry)))
                buried = Buried(index, set(details.get("classes", [])), details.get("num_samples", 0))
                self.tombstones[entry["model"], one_spelling(entry["forget_request"])] = buried
            case "forget.failed":
                judged = {name: details.get(name) for name in ("verdict", "parent_version")}
                request.update(_said(index, {"status": "failed", **judged}))
            case "forget.cancelled":
                request["status"] = Said("cancelled", index)

    def _forgotten(self, model: str) -> set[int]:
        """The classes of this model that requests have taken away so far."""
        return {number for (name, _), buried in self.tombstones.items() if name == model for number in buried.classes}


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
        "forget_request_id": one_spelling(entry["forget_request"]),
    }


def _requested(entry: Mapping[str, Any]) -> dict[str, Any]:
    details = entry["details"]
    undecided = dict.fromkeys(("verdict", "claim", "parent_version", "version"))
    asked = {name: details.get(name) for name in ASKED}
    return {"model": entry["model"], "target": _target(details), "status": "queued", **asked, **undecided}


def _completed(entry: Mapping[str, Any]) -> dict[str, Any]:
    details = entry["details"]
    found = {name: details.get(name) for name in ("verdict", "claim", "parent_version")}
    return {"status": "completed", "target": _target(details), "version": entry["version"], **found}


def _target(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: details[name] for name in ("classes", "tasks", "num_samples") if name in details}


def _key(entry: Mapping[str, Any]) -> dict[str, Any]:
    revoked = "set" if entry["event"] == "api-key.revoked" else "not set"
    return {"scopes": entry["details"].get("scopes"), "revoked_at": revoked}


def _verified(entry: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: entry["details"].get(name) for name in ("depth", "digest", "verdict", "claim")}
    request = one_spelling(entry["forget_request"])
    return {"model": entry["model"], "version": entry["version"], "forget_request_id": request, **found}


def _said(index: int, values: Mapping[str, Any]) -> Row:
    return {column: Said(value, index) for column, value in values.items()}


def one_spelling(identifier: str | None) -> str:
    """One spelling of an id: PostgreSQL writes hyphens, SQLite does not; empty for none."""
    return (identifier or "").replace("-", "")
