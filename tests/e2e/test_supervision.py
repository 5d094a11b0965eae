"""What the server started for itself dies and is there again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.processes import assert_no_process_is_left, modules_of, processes_of
from tests.e2e.server_process import ROOT, Server, environment
from tests.waiting import wait_until


@pytest.mark.parametrize("module", ["app.service.worker_process", "app.prediction.process"])
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


@pytest.mark.parametrize("module", ["app.service.worker_process", "app.prediction.process"])
@pytest.mark.parametrize(
    "seed",
    [
        0,
        pytest.param(1, marks=pytest.mark.slow),
        *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 10)),
    ],
)
def test_a_server_killed_while_its_processes_start_takes_them_along(tmp_path: Path, module: str, seed: int) -> None:
    server = Server(tmp_path / "home")
    process = server.launch()
    wait_until(lambda: module in modules_of(process.pid))
    time.sleep(random.Random(f"{module} {seed}").uniform(0, 2))
    process.kill()
    process.wait()
    assert_no_process_is_left(server.home)


def test_what_a_command_started_for_itself_ends_with_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    program = "from app.cli.own_server import OwnServer\nwith OwnServer():\n print('ready', flush=True)\n input()"
    command = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with command:
        assert command.stdout
        assert command.stdout.readline() == b"ready\n"
        assert len(processes_of(home)) >= 4, "command, server, worker, predictor"
        command.kill()
    assert_no_process_is_left(home)
