"""Request bodies as clients make them that were generated from the document: with every default that it declares."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def spelled_out(document: Schema, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """A body of this component of the document, with the defaults of all that it leaves out."""
    filled: dict[str, Any] = _filled(document, document["components"]["schemas"][name], body)
    return filled


def with_nulls(document: Schema, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body with a null for all that it leaves out, where the document allows one."""
    properties = document["components"]["schemas"][name]["properties"]
    return {key: None for key, field in properties.items() if _takes_null(field)} | body


def _takes_null(field: Schema) -> bool:
    return {"type": "null"} in field.get("anyOf", [])


def _filled(document: Schema, schema: Schema, value: Any) -> Any:
    schema = _meant(document, schema, value)
    if isinstance(value, list):
        return [_filled(document, schema.get("items", {}), item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = {}
    for name, field in schema.get("properties", {}).items():
        if name in value:
            filled[name] = _filled(document, field, value[name])
        elif "default" in field:
            filled[name] = field["default"]
    return value | filled


def _meant(document: Schema, schema: Schema, value: Any) -> Schema:
    """The alternative that a value is of: that of its name, or the first one with all of its fields."""
    if "$ref" in schema:
        return _meant(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], value)
    offered: list[Schema] = schema.get("anyOf") or schema.get("oneOf") or []
    alternatives = [_meant(document, one, value) for one in offered]
    fitting = [one for one in alternatives if _fits(one, value)]
    return fitting[0] if fitting else schema


def _fits(schema: Schema, value: Any) -> bool:
    if isinstance(value, list):
        return schema.get("type") == "array"
    if not isinstance(value, dict):
        return schema.get("type") != "null"
    properties = schema.get("properties", {})
    named = all(value[tag] in _names(properties[tag]) for tag in ("type", "mode") if tag in value and tag in properties)
    return named and value.keys() <= properties.keys() and set(schema.get("required", [])) <= value.keys()


def _names(field: Schema) -> list[Any]:
    alternatives: list[Schema] = field.get("anyOf", [field])
    return [name for one in alternatives for name in (one["enum"] if "enum" in one else [one.get("const")])]
