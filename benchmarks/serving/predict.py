"""Predictions over HTTP, by the number of callers, beside the same network called in one process."""

from __future__ import annotations

import asyncio
import json
import platform
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
import uvloop

from app.specs.architectures import Cnn
from app.store import weights
from app.store.versions import VersionStore
from benchmarks.serving.running import npy, running_server, train, wait
from benchmarks.study import ARCHITECTURES, Study, machine
from benchmarks.writing import NONE, Row, section, table, write

STUDY = Study(
    "serving.predict",
    "predictions per second and their latency over HTTP, by the number of callers, beside the network called in one process",
    "docs/benchmarks/predict.md and predict.json",
    minutes=4,
    gibibytes=2,
    notes="Starts a server in a temporary home and trains a model of each kind for one epoch.",
)

CALLERS = (1, 16, 64)
NETWORKS = ("mlp", "cnn")
_HEADER_END = b"\r\n\r\n"
_WARM_UP_SECONDS = 0.5
_TRAINING_FRACTION = 0.051
"""Progress at which the data set is loaded and epochs run."""


class Caller(asyncio.Protocol):
    """One connection that asks the same again and again; written for little work of its own, on shared cores."""

    def __init__(self, request: bytes) -> None:
        self.milliseconds: list[float] = []
        self.stopped = asyncio.get_running_loop().create_future()
        self._request = request
        self._received = b""
        self._asked_at = 0.0
        self._stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once."""
        self._transport: Any = transport
        self._ask()

    def stop(self) -> None:
        """No further request."""
        self._stopping = True

    def data_received(self, data: bytes) -> None:
        """Take the time of a whole answer, and ask again."""
        self._received += data
        head, end, body = self._received.partition(_HEADER_END)
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            return
        self.milliseconds.append(1000 * (time.perf_counter() - self._asked_at))
        if not head.startswith(b"HTTP/1.1 200"):
            self.stopped.set_exception(RuntimeError(self._received.decode()))
        elif self._stopping:
            self.stopped.set_result(None)
        else:
            self._received = b""
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, however it came."""
        if not self.stopped.done():
            self.stopped.set_exception(exc or RuntimeError("the server closed the connection"))

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(self._request)


@asynccontextmanager
async def callers(url: httpx.URL, request: bytes, count: int) -> AsyncIterator[list[Caller]]:
    """Callers at work, `count` of them; they have stopped when the block is left."""
    loop = asyncio.get_running_loop()
    assert url.port is not None
    made = [await loop.create_connection(lambda: Caller(request), url.host, url.port) for _ in range(count)]
    at_work = [caller for _, caller in made]
    try:
        yield at_work
    finally:
        for caller in at_work:
            caller.stop()
        await asyncio.gather(*(caller.stopped for caller in at_work))
        for transport, _ in made:
            transport.close()


async def measure(url: httpx.URL, network: str, body: str, count: int, *, beside: str, seconds: float) -> Row:
    """What `count` callers see, each asking again as soon as it has its answer; times in milliseconds."""
    async with callers(url, one_row(url, network, body), count) as at_work:
        await asyncio.sleep(_WARM_UP_SECONDS)
        for caller in at_work:
            caller.milliseconds.clear()
        started = time.perf_counter()
        await asyncio.sleep(seconds)
        lasted = time.perf_counter() - started
        times = [value for caller in at_work for value in caller.milliseconds]
    p50, p99 = np.percentile(times, [50, 99]).round(2).tolist()
    load = {"network": network, "body": body, "callers": count, "beside": beside}
    return told({**load, "requests_per_second": round(len(times) / lasted, 2), "p50": p50, "p99": p99})


def told(row: Row) -> Row:
    """The row, which is printed: who waits sees how far the study is."""
    print(row, flush=True)
    return row


def one_row(url: httpx.URL, model: str, body: str) -> bytes:
    """The bytes of a request for one random digit."""
    image = np.random.default_rng(0).random((1, 28, 28), np.float32)
    if body == "npy":
        content, media_type = npy(image), "application/x-npy"
    else:
        content = json.dumps({"inputs": image.round(3).astype(float).tolist()}).encode()
        media_type = "application/json"
    head = (
        f"POST /v1/models/{model}/predict HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def over_http(url: httpx.URL, seconds: float, bodies: tuple[str, ...], beside: str = "") -> list[Row]:
    """Every network, body and number of callers."""
    return [
        uvloop.run(measure(url, *load, beside=beside, seconds=seconds)) for load in product(NETWORKS, bodies, CALLERS)
    ]


def in_process(home: Path) -> list[Row]:
    """The stored networks called by this process in a loop, with rows of 1 and 32."""
    torch.set_num_threads(1)
    found = []
    for network in NETWORKS:
        folder = VersionStore(home).folder(network, 1)
        manifest = VersionStore(home).read_manifest(network, 1)
        model = weights.load(folder, manifest.weights_digest, manifest.digest)
        for rows in (1, 32):
            inputs = torch.rand(rows, 1, 28, 28)
            with torch.inference_mode():
                rate = _rate(lambda: model.probabilities(inputs))  # noqa: B023  called before the next turn
            rates = {"calls_per_second": round(rate, 1), "rows_per_second": round(rate * rows, 1)}
            found.append(told({"network": network, "rows": rows, **rates}))
    return found


def _rate(call: Callable[[], object], seconds: float = 2.0) -> float:
    for _ in range(20):
        call()
    calls, started = 0, time.perf_counter()
    while (lasted := time.perf_counter() - started) < seconds:
        call()
        calls += 1
    return calls / lasted


def large_request(http: httpx.Client, network: str, rows: int = 10_000) -> Row:
    """Seconds of one request of many rows."""
    content = npy(np.zeros((rows, 784), np.float32))
    started = time.perf_counter()
    answer = http.post(f"/v1/models/{network}/predict", content=content, headers={"Content-Type": "application/x-npy"})
    answer.raise_for_status()
    return {"network": network, "rows": rows, "seconds": round(time.perf_counter() - started, 3)}


async def beside_large_requests(http: httpx.Client, url: httpx.URL, network: str, seconds: float) -> Row:
    """One caller of one row, while another asks for 10,000 without pause."""
    stop = False

    def ask() -> None:
        while not stop:
            large_request(http, network)

    asking = asyncio.get_running_loop().run_in_executor(None, ask)
    found = await measure(url, network, "npy", 1, beside="requests of 10,000 rows", seconds=seconds)
    stop = True
    await asking
    return found


def run(home: Path, seconds: float) -> dict[str, Any]:
    """All figures."""
    with running_server(home) as address, httpx.Client(base_url=address, timeout=300) as http:
        url = httpx.URL(address)
        for network in NETWORKS:
            wait(http, train(http, network, ARCHITECTURES[network]))
        alone = over_http(url, seconds, ("npy", "json"))
        large = [large_request(http, network) for network in NETWORKS]
        beside_large = [uvloop.run(beside_large_requests(http, url, network, seconds)) for network in NETWORKS]
        job = train(http, "training", Cnn(), epochs=1000)
        while http.get(job).json()["progress"]["fraction"] < _TRAINING_FRACTION:
            time.sleep(0.2)
        beside_training = over_http(url, seconds, ("npy",), beside="a training job")
        http.post(f"{job}/cancel").raise_for_status()
    return {
        "machine": {**machine(), "python": platform.python_version()},
        "over_http": alone + beside_large + beside_training,
        "large": large,
        "in_process": in_process(home),
    }


def report(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    found = figures["machine"]
    lines = section(
        "# Predictions per second",
        f"Made by `{STUDY.command}`. Callers ask for one MNIST image at a time and again as soon as they have\n"
        f"their answer; they share the machine ({found['cores']} cores) with server and predictor. Python\n"
        f"{found['python']}, torch {found['torch']}. Every request reads the serving version from the database.",
    )
    lines += _table("network, body, callers, beside, requests/s, p50 ms, p99 ms", figures["over_http"])
    lines += ["The same networks called in one process with one thread, without server, validation or database:", ""]
    lines += _table("network, rows per call, calls/s, rows/s", figures["in_process"])
    lines += ["One request of many rows:", "", *_table("network, rows, seconds", figures["large"])]
    return "\n".join(lines)


def _table(head: str, rows: list[Row]) -> list[str]:
    return table(head.split(", "), [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value or NONE
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def main() -> None:
    """Measure, print and write."""
    parser = STUDY.parser("docs/benchmarks")
    parser.add_argument("--seconds", type=float, default=5, help="how long each load lasts")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        figures = run(Path(home), asked.seconds)
    write(asked.output / "predict.json", figures)
    write(asked.output / "predict.md", report(figures))


if __name__ == "__main__":
    main()
