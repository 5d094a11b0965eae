"""Column types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import JSON, DateTime, Dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC with microseconds, also on SQLite, which stores none of the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """What a value is in Python."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware time into UTC for the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times must carry a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """The time that the database gives, aware and in UTC."""
        if value is None:
            return None
        aware: datetime = value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)
        return aware


class JsonOf(TypeDecorator[Any]):
    """A JSON column of one type: rows hold its values, checked on their way in and on their way out."""

    impl = JSON
    cache_ok = True

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        """`adapter` is of the type; what it dumps is what is stored."""
        super().__init__()
        self.adapter = adapter

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type in the database: JSONB on PostgreSQL; None is SQL's NULL everywhere."""
        kind = JSONB if dialect.name == "postgresql" else JSON
        return dialect.type_descriptor(kind(none_as_null=True))

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> Any | None:  # noqa: ARG002  SQLAlchemy's
        """A value in, JSON out; raises pydantic's `ValidationError` for what is no value of the type."""
        return None if value is None else self.adapter.dump_python(self.adapter.validate_python(value), mode="json")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:  # noqa: ARG002  SQLAlchemy's
        """JSON in, a value out."""
        return None if value is None else self.adapter.validate_python(value)
