"""A server of its own for a study, and the requests that studies share."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.specs.architectures import Architecture

_START_SECONDS = 120.0


@contextmanager
def running_server(home: Path) -> Iterator[str]:
    """The URL of a server of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FORGETTERY_")}
    environment |= {"FORGETTERY_HOME": str(home), "FORGETTERY_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            yield _url(home, server)
        finally:
            server.terminate()


def _url(home: Path, server: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _START_SECONDS
    announcement = home / "server.json"
    while not announcement.exists() or not announcement.read_text():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.05)
    url: str = json.loads(announcement.read_text())["url"]
    return url


def train(http: httpx.Client, name: str, architecture: Architecture, epochs: int = 1) -> str:
    """Begin to train a model; the path of its job."""
    body = {"name": name, "dataset": "mnist", "architecture": asdict(architecture), "training": {"epochs": epochs}}
    return str(http.post("/v1/models", json=body).raise_for_status().headers["location"])


def wait(http: httpx.Client, path: str, seconds: float = 0.2) -> None:
    """Until a job has succeeded; ask again after each pause of `seconds`."""
    while (job := http.get(path).raise_for_status().json())["status"] in {"queued", "running"}:
        time.sleep(seconds)
    if job["status"] != "succeeded":
        raise RuntimeError(f"the job is {job['status']}: {job['problem']}")


def npy(array: np.ndarray[Any, Any]) -> bytes:
    """An array as a .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
