"""API keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import (
    ConfigDict,
    Field,
)

from app.contract.fields import Answered, Asked, Text

ApiScope = Literal["read", "predict", "train", "forget", "audit", "admin"]
API_SCOPE_MEANINGS: Mapping[ApiScope, str] = {
    "read": "Look at models, versions, jobs, requests, reports and metrics, and download the weights of available versions.",
    "predict": "Classify inputs.",
    "train": "Create models, train them further, and cancel trainings.",
    "forget": "Forget, verify, compare, purge, delete guards, and cancel such jobs.",
    "audit": "Read the audit log and have it verified.",
    "admin": "Do everything, the management of keys included.",
}


class ApiKeyCreate(Asked):
    """A new API key."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"name": "dashboard", "scopes": ["read", "predict"]}]},
    )
    name: Text = Field(min_length=1, max_length=100)
    scopes: list[ApiScope] = Field(min_length=1, max_length=100, fail_fast=True)


class ApiKey(Answered):
    """An API key, without its secret."""

    id: UUID
    name: str
    scopes: list[ApiScope]
    created_at: datetime
    revoked_at: datetime | None


class ApiKeyCreated(ApiKey):
    """A new API key; the secret is shown this once."""

    key: str
