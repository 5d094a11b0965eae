from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.api.validation import json_pointer

NAMES = st.text(min_size=1, max_size=5)
VALUES = st.recursive(
    st.integers() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


def resolve(pointer: str, value: Any) -> Any:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value


@given(VALUES, st.data())
def test_a_pointer_leads_back_to_the_place_it_was_made_of(value: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(value))))
    expected = value
    for part in path:
        expected = expected[part]
    assert json.dumps(resolve(json_pointer(path, value), value)) == json.dumps(expected)


def test_the_name_of_a_chosen_union_member_is_no_part_of_a_pointer() -> None:
    body = {"architecture": {"type": "mlp", "hidden": [0]}}
    assert json_pointer(["architecture", "mlp", "hidden", 0], body) == "/architecture/hidden/0"


def test_a_missing_field_is_named_where_it_should_be() -> None:
    assert json_pointer(["target"], {}) == "/target"
    assert json_pointer(["architecture", "mlp", "hidden"], {"architecture": {"type": "mlp"}}) == "/architecture/hidden"
