"""A server of one's own for the time of a command."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Self

from app.cli.server import server_part, settings
from app.cli.terminal import connect
from app.errors import Unavailable

_START_SECONDS = 60
_STOP_SECONDS = 30


class OwnServer:
    """`forgettery serve` as a child process on a free loopback port, with the home that the environment names."""

    def __init__(self) -> None:
        server_part("app.main")
        self.home = settings().home
        self.url = f"http://127.0.0.1:{_free_port()}"

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile()
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-m", "app.cli", "serve", "--host", "127.0.0.1", "--port", port]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL)  # noqa: S603  our own program
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _wait_until_ready(self) -> None:
        give_up_at = time.monotonic() + _START_SECONDS
        with connect(self.url, "") as client:
            while True:
                try:
                    client.readiness()
                except Unavailable as error:
                    if self._process.poll() is not None or time.monotonic() > give_up_at:
                        raise Unavailable(f"the server did not start:\n{self._last_words()}") from error
                    time.sleep(0.1)
                else:
                    return

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:].strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
