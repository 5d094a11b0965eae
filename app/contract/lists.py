"""Pages of lists."""

from __future__ import annotations

from typing import Generic

from pydantic import (
    Field,
)

from app.contract.fields import Answered, Item


class Page(Answered, Generic[Item]):
    """One page of a list in a stable order."""

    items: list[Item]
    next_page_token: str | None = Field(
        default=None, description="Send as `page_token` for the next page; null: the end."
    )
