"""What the server started for itself dies and is there again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import StartServer

WAIT_SECONDS = 90


def children_of(process_id: int) -> dict[str, int]:
    """Process ids of the children by the module they run."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == process_id and "-m" in command:
            found[command[command.index("-m") + 1]] = int(folder.name)
    return found


def eventually(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


@pytest.mark.parametrize("module", ["app.worker_process", "app.predictor.process"])
def test_a_process_of_the_server_that_is_killed_comes_back(start_server: StartServer, module: str) -> None:
    server = start_server()
    assert server.process is not None
    server_id = server.process.pid
    killed = children_of(server_id)[module]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: children_of(server_id).get(module, killed) != killed)
    with server.client() as client:
        assert client.health().status == "ok"
    assert server.stop() == 0
    assert children_of(server_id) == {}


def test_a_killed_server_takes_its_processes_along(start_server: StartServer) -> None:
    server = start_server()
    assert server.process is not None
    started = list(children_of(server.process.pid).values())
    assert len(started) == 2
    server.kill()
    eventually(lambda: not any(Path(f"/proc/{process_id}").exists() for process_id in started))
