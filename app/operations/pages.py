"""Lists page by page, by key instead of offset: rows added meanwhile never shift a page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError
from sqlalchemy import BigInteger, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import TypeEngine

from app.database.tables import Table
from app.errors import InvalidPageToken

RowType = TypeVar("RowType", bound=Table)
Item = TypeVar("Item")

# What a database column can be compared with, even if somebody made up the token.
_Integer = Annotated[int, Field(ge=-(2**31), lt=2**31)]
_BigInteger = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Text = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=300)]


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such time in UTC") from None


_Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
_COUNT: TypeAdapter[tuple[Any, ...]] = TypeAdapter(tuple[Annotated[int, Field(ge=0)]])


@dataclass(frozen=True)
class PageQuery:
    """Which page of a list is wanted: at most `limit` rows (1 to 1000) after the place that `token` names."""

    limit: int = 100
    token: str | None = None


class _Token(BaseModel):
    """Where a page ended, and of which list: `of` is a digest of the list's name and filters."""

    of: str
    after: list[Any]


def paginate(
    session: Session,
    statement: Select[RowType],
    keys: Sequence[InstrumentedAttribute[Any]],
    list_name: str,
    page: PageQuery,
) -> tuple[list[RowType], str | None]:
    """The rows of one page in ascending order of `keys`, and the token of the next page, None at the end.

    `keys` are columns of the selected table that are unique together. A token is bound to `list_name` and to the values
    that the statement filters by; a token of another list raises `InvalidPageToken`.
    """
    of = _list_digest(list_name, statement.compile().params)
    if page.token is not None:
        after = _read_token(page.token, of, _key_types(keys))
        values = [literal(value, type_=key.type) for value, key in zip(after, keys, strict=True)]
        statement = statement.where(tuple_(*keys) > tuple_(*values))
    rows = list(session.scalars(statement.order_by(*keys).limit(page.limit + 1)))
    if len(rows) <= page.limit:
        return rows, None
    rows.pop()
    return rows, _write_token(of, [getattr(rows[-1], key.key) for key in keys])


def paginate_fixed(items: Sequence[Item], list_name: str, page: PageQuery) -> tuple[list[Item], str | None]:
    """One page of a list that is part of the program: its order is fixed, so a token is a count of items."""
    of = _list_digest(list_name, {})
    start = _read_token(page.token, of, _COUNT)[0] if page.token is not None else 0
    end = start + page.limit
    return list(items[start:end]), _write_token(of, [end]) if end < len(items) else None


def _list_digest(list_name: str, parameters: Mapping[str, Any]) -> str:
    filters = sorted((name, str(value)) for name, value in parameters.items())
    return hashlib.sha256(repr((list_name, filters)).encode()).hexdigest()[:16]


def _write_token(of: str, after: list[Any]) -> str:
    return base64.urlsafe_b64encode(_Token(of=of, after=after).model_dump_json().encode()).decode()


def _read_token(token: str, of: str, types: TypeAdapter[tuple[Any, ...]]) -> list[Any]:
    refusal = "take the token from the next_page_token of this very list, with the same filters, or leave it out"
    try:
        read = _Token.model_validate_json(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
        after = types.validate_python(read.after)
    except (ValueError, ValidationError) as error:
        raise InvalidPageToken(refusal) from error
    if read.of != of:
        raise InvalidPageToken(refusal)
    return list(after)


def _key_types(keys: Sequence[InstrumentedAttribute[Any]]) -> TypeAdapter[tuple[Any, ...]]:
    types = tuple(_bounded(key.type) for key in keys)
    return TypeAdapter(tuple[types])  # type: ignore[valid-type]  # the columns' types are known at run time only


def _bounded(column: TypeEngine[Any]) -> Any:
    if isinstance(column, BigInteger):
        return _BigInteger
    bounded: dict[type, Any] = {int: _Integer, str: _Text, datetime: _Instant}
    return bounded.get(column.python_type, column.python_type)
