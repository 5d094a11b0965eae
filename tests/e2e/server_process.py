"""A server as a process of its own, with a home of its own, driven from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from app.client import Client
from app.errors import Unavailable
from tests.waiting import HANGS_AFTER

ROOT = Path(__file__).parents[2]
READABLE_BY_ALL = 0o022
"""The umask of most machines."""


def environment(home: Path, settings: dict[str, str] | None = None) -> dict[str, str]:
    """What a process of the product is started with: this process's environment, a home, one thread for torch."""
    chosen = {"FORGETTERY_HOME": str(home), "FORGETTERY_TORCH_THREADS": "1", "FORGETTERY_DOWNLOAD": "false"}
    return {**os.environ, "COLUMNS": "200", **chosen, **(settings or {})}


class Server:
    """`forgettery serve` on a port that stays the same over restarts."""

    def __init__(self, home: Path, settings: dict[str, str] | None = None) -> None:
        self.home = home
        self.key = (settings or {}).get("FORGETTERY_ADMIN_KEY", "")
        self.environment = environment(home, settings)
        self.log = home.with_name(home.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str | None = None) -> Client:
        return Client(self.url, self.key if key is None else key, timeout=HANGS_AFTER)

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process = self.launch()
        give_up_at = time.monotonic() + HANGS_AFTER
        while missing := self._what_is_missing():
            assert self.process.poll() is None, f"the server died:\n{self.log.read_text()}"
            assert time.monotonic() < give_up_at, f"{missing}\n{self.log.read_text()}"
            time.sleep(0.1)

    def launch(self) -> subprocess.Popen[bytes]:
        """Start its process, without waiting for anything."""
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(self.port)]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=READABLE_BY_ALL,
            )

    def stop(self) -> int | None:
        """SIGTERM; the exit code, or None if it had been killed before."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL of the server's own process alone."""
        assert self._end(signal.SIGKILL) == -signal.SIGKILL

    def run(self, *arguments: str, settings: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`forgettery` with these arguments, which finds the server by the environment."""
        found = {"FORGETTERY_URL": self.url, "FORGETTERY_KEY": self.key}
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            cwd=ROOT,
            env={**self.environment, **found, **(settings or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def run_json(self, *arguments: str) -> Any:
        """What a command that must succeed prints with `--json`."""
        result = self.run(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def _what_is_missing(self) -> str:
        with self.client() as client:
            try:
                client.readiness()
            except Unavailable as error:
                return error.detail
        return ""

    def _end(self, number: signal.Signals) -> int | None:
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(HANGS_AFTER)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
