"""Bounds and pydantic settings that the dataclasses of this folder share."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any, cast

from annotated_types import Ge, Le, Lt


def _describe_inherited(schema: dict[str, Any], kind: type[Any]) -> None:
    """Describe inherited fields, too, by the docstrings below them: pydantic reads only those of a class's own."""
    for base in kind.__mro__[1:-1]:
        for name, text in _attribute_docstrings(base).items():
            schema["properties"][name].setdefault("description", text)


@cache
def _attribute_docstrings(kind: type[Any]) -> dict[str, str]:
    body = cast("ast.ClassDef", ast.parse(dedent(inspect.getsource(kind))).body[0]).body
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


STRICT: dict[str, Any] = {
    "extra": "forbid",
    "allow_inf_nan": False,
    "use_attribute_docstrings": True,
    "json_schema_extra": _describe_inherited,
}
"""Unknown fields are an error, every number is finite, and what stands below a field is its description."""


def required(tag: str) -> dict[str, Any]:
    """Settings of a kind that no default stands for: the schema demands its name, as the reader does."""

    def change(schema: dict[str, Any]) -> None:
        del schema["properties"][tag]["default"]
        schema["required"] = [tag]

    return STRICT | {"json_schema_extra": change}


def depending(*names: str) -> dict[str, Any]:
    """Settings of a field whose default depends on the learning mode: its sentence says how, no constant could."""

    def change(schema: dict[str, Any]) -> None:
        for name in names:
            del schema["properties"][name]["default"]

    return STRICT | {"json_schema_extra": change}


Width = Annotated[int, Ge(1), Le(4096)]
Seed = Annotated[int, Ge(0), Lt(2**53)]
