"""A long run of predictions: what the processes hold does not grow with what they have answered."""

from __future__ import annotations

import http.client
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.processes import descendants_of
from tests.e2e.server_process import Server
from tests.e2e.small_models import Images, learn
from tests.waiting import HANGS_AFTER

pytestmark = pytest.mark.soak
PREDICTIONS = 50_000
CALLERS = 8
WARM_UP = 5_000
ALLOWED_GROWTH = 24 * 2**20
"""Bytes of all processes together; a leak of a single body (784 bytes) for each prediction would be 35 MB."""


def test_fifty_thousand_predictions_hold_memory_and_descriptors_flat(
    start_server: StartServer, test_images: Images
) -> None:
    server = start_server()
    with server.client() as client:
        client.wait_for_job(learn(client, "digits").id)
    images, _ = test_images
    bodies = [_npy(image) for image in images[:100]]
    _ask(server, bodies, WARM_UP)
    before = _held(server)
    _ask(server, bodies, PREDICTIONS)
    after = _held(server)
    print(f"bytes {before[0]} -> {after[0]}, descriptors {before[1]} -> {after[1]}")  # noqa: T201  the figures of the run
    assert after[0] - before[0] < ALLOWED_GROWTH
    assert after[1] - before[1] <= CALLERS


def _npy(image: npt.NDArray[np.uint8]) -> bytes:
    body = io.BytesIO()
    np.save(body, image[None])
    return body.getvalue()


def _ask(server: Server, bodies: list[bytes], count: int) -> None:
    """So many predictions by CALLERS at once, each over one connection; every one must be answered."""
    left = threading.Semaphore(count)

    def ask() -> int:
        connection, asked = http.client.HTTPConnection("127.0.0.1", server.port, timeout=HANGS_AFTER), 0
        while left.acquire(blocking=False):
            headers = {"Content-Type": "application/x-npy"}
            connection.request("POST", "/v1/models/digits/predict", bodies[asked % len(bodies)], headers)
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            asked += 1
        connection.close()
        return asked

    with ThreadPoolExecutor(CALLERS) as callers:
        assert sum(call.result() for call in [callers.submit(ask) for _ in range(CALLERS)]) == count


def _held(server: Server) -> tuple[int, int]:
    """Resident bytes and open descriptors of the server and everything that it started."""
    assert server.process is not None
    pids = [server.process.pid, *descendants_of(server.process.pid)]
    resident = sum(_resident(pid) for pid in pids)
    return resident, sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
