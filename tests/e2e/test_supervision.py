"""What the server started for itself dies and is there again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.processes import modules_of, wait_until


@pytest.mark.parametrize("module", ["app.worker_process", "app.predictor.process"])
def test_a_process_of_the_server_that_is_killed_comes_back(start_server: StartServer, module: str) -> None:
    server = start_server()
    assert server.process is not None
    server_id = server.process.pid
    killed = modules_of(server_id)[module]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: modules_of(server_id).get(module, killed) != killed)
    with server.client() as client:
        assert client.health().status == "ok"
    assert server.stop() == 0
    assert modules_of(server_id) == {}


def test_a_killed_server_takes_its_processes_along(start_server: StartServer) -> None:
    server = start_server()
    assert server.process is not None
    started = list(modules_of(server.process.pid).values())
    assert len(started) == 2
    server.kill()
    wait_until(lambda: not any(Path(f"/proc/{process_id}").exists() for process_id in started))
