from __future__ import annotations

import httpx
import pytest

from app.database.engine import Database
from app.settings import Settings
from tests.stored_versions import record_model, record_version, store_version
from tests.waiting import HANGS_AFTER

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_head_is_get_without_its_body(client: httpx.Client, settings: Settings, database: Database) -> None:
    record_version(database, record_model(database), store_version(settings.home))
    started = client.post("/v1/models/digits/train", json={}).headers["location"]
    for path in (
        "/healthz",
        "/docs",
        "/openapi.json",
        "/v1/models",
        "/v1/models/digits/versions/1/weights",
        "/v1/models/nobody",
        "/v1/nowhere",
        started,
    ):
        got, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        for name in ("content-type", "content-length", "etag"):
            assert head.headers.get(name) == got.headers.get(name), (path, name)
    events = client.head(f"{started}/events", timeout=HANGS_AFTER)  # whose GET would not end
    assert (events.status_code, events.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert client.head("/v1/models/digits/forget").status_code == 405
