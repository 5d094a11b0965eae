"""A server of one's own for the time of a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Self

from app.cli.calls import Call
from app.cli.server import server_part, settings
from app.errors import Unavailable

_START_SECONDS = 60
_STOP_SECONDS = 30


class OwnServer:
    """`forgettery serve` as a child process on a free loopback port, with the home that the environment names; it ends with us."""

    def __init__(self) -> None:
        server_part("app.main")
        self.home = settings().home
        self.url = ""

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile()
        command = [
            sys.executable,
            "-m",
            "app.cli",
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--end-with",
            str(os.getpid()),
        ]
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
        missing = "it does not listen yet"
        while missing:
            if self._process.poll() is not None:
                raise Unavailable(f"the server did not start:\n{self._last_words()}")
            if time.monotonic() > give_up_at:
                raise Unavailable(f"the server did not get ready: {missing}\n{self._last_words()}")
            time.sleep(0.2)
            missing = self._what_is_missing()

    def _what_is_missing(self) -> str:
        self.url = self._announced_url()
        if not self.url:
            return "it does not listen yet"
        with Call(self.url).connect() as client:
            try:
                client.readiness()
            except Unavailable as error:
                return error.detail
        return ""

    def _announced_url(self) -> str:
        """The URL that the server wrote into its home; empty while another server's is there, or none yet."""
        try:
            announced = json.loads((self.home / "server.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return ""
        return str(announced["url"]) if announced["pid"] == self._process.pid else ""

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
