from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.prediction import client as predictor
from app.processes.keeping import keep_running
from app.service import supervision
from app.settings import Settings
from tests.waiting import HANGS_AFTER


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANGS_AFTER):
        while not condition():  # noqa: ASYNC110  neither a file nor a log raises an event
            await asyncio.sleep(0.01)


def test_a_process_that_cannot_be_started_for_a_while_is_started_when_it_can_be(tmp_path: Path) -> None:
    program, started, unfinished = tmp_path / "program", tmp_path / "started", tmp_path / "unfinished"

    async def supervise() -> None:
        live_once = partial(supervision._live_once, [str(program)], dict(os.environ))
        supervisor = asyncio.create_task(keep_running("worker", live_once))
        await until(lambda: bool(logs))
        unfinished.write_text(f"#!/bin/sh\necho > {started}\nexec sleep 1000\n")
        unfinished.chmod(0o700)
        unfinished.rename(program)
        await until(started.exists)
        supervisor.cancel()
        await asyncio.wait([supervisor])

    with capture_logs() as logs:
        asyncio.run(supervise())
    assert logs[0]["event"] == "the worker could not be started"
    assert "No such file" in logs[0]["reason"]


def test_what_a_server_starts_does_not_get_its_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORGETTERY_ADMIN_KEY", "TOPSECRET")
    monkeypatch.setenv("forgettery_key", "TOPSECRET")
    for environment in (
        supervision.worker_environment(Settings(home=tmp_path)),
        predictor._without_secrets(os.environ),
    ):
        assert "TOPSECRET" not in environment.values()
