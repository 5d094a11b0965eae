"""Predictions over HTTP, by the number of callers, beside the same network called in one process."""

from __future__ import annotations

import asyncio
import json
import platform
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
import uvloop

from app.specs import Cnn
from app.store import weights
from app.store.versions import VersionStore
from benchmarks.serving.running import npy, running_server, train, wait
from benchmarks.study import ARCHITECTURES, Study, machine
from benchmarks.writing import NONE, section, table, write

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


@dataclass(frozen=True)
class Load:
    """What a number of callers saw, each asking again as soon as it has its answer; times in milliseconds."""

    network: str
    body: str
    callers: int
    beside: str
    requests_per_second: float
    p50: float
    p99: float


@dataclass(frozen=True)
class InProcess:
    """The network alone, called with one thread in a loop."""

    network: str
    rows: int
    calls_per_second: float
    rows_per_second: float


@dataclass(frozen=True)
class Large:
    """One request of many rows, in seconds."""

    network: str
    rows: int
    seconds: float


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
    """So many callers at work; they have stopped when the block is left."""
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


async def measure(url: httpx.URL, request: bytes, count: int, seconds: float) -> tuple[float, float, float]:
    """Requests per second, median and 99th percentile in milliseconds."""
    async with callers(url, request, count) as at_work:
        await asyncio.sleep(_WARM_UP_SECONDS)
        for caller in at_work:
            caller.milliseconds.clear()
        started = time.perf_counter()
        await asyncio.sleep(seconds)
        lasted = time.perf_counter() - started
        times = [value for caller in at_work for value in caller.milliseconds]
    p50, p99 = np.percentile(times, [50, 99]).tolist()
    return len(times) / lasted, p50, p99


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


def over_http(url: httpx.URL, seconds: float, beside: str = "") -> list[Load]:
    """Every network, body and number of callers; beside other work the npy bodies alone."""
    found = []
    for network in NETWORKS:
        for body in ("npy",) if beside else ("npy", "json"):
            for count in CALLERS:
                figures = uvloop.run(measure(url, one_row(url, network, body), count, seconds))
                found.append(Load(network, body, count, beside, *(round(figure, 2) for figure in figures)))
                print(found[-1], flush=True)
    return found


def in_process(home: Path) -> list[InProcess]:
    """The stored networks called by this process, with rows of 1 and 32."""
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
            found.append(InProcess(network, rows, round(rate, 1), round(rate * rows, 1)))
            print(found[-1], flush=True)
    return found


def _rate(call: Callable[[], object], seconds: float = 2.0) -> float:
    for _ in range(20):
        call()
    calls, started = 0, time.perf_counter()
    while (lasted := time.perf_counter() - started) < seconds:
        call()
        calls += 1
    return calls / lasted


def large_request(http: httpx.Client, network: str, rows: int = 10_000) -> Large:
    """Seconds of one request of many rows."""
    content = npy(np.zeros((rows, 784), np.float32))
    started = time.perf_counter()
    answer = http.post(f"/v1/models/{network}/predict", content=content, headers={"Content-Type": "application/x-npy"})
    answer.raise_for_status()
    return Large(network, rows, round(time.perf_counter() - started, 3))


def beside_large_requests(http: httpx.Client, url: httpx.URL, seconds: float) -> list[Load]:
    """One caller of one row, while another asks for 10,000 without pause."""
    found = []
    for network in NETWORKS:
        found.append(uvloop.run(_beside_large_request(http, url, network, seconds)))
        print(found[-1], flush=True)
    return found


async def _beside_large_request(http: httpx.Client, url: httpx.URL, network: str, seconds: float) -> Load:
    stop = False

    def ask() -> None:
        while not stop:
            large_request(http, network)

    asking = asyncio.get_running_loop().run_in_executor(None, ask)
    figures = await measure(url, one_row(url, network, "npy"), 1, seconds)
    stop = True
    await asking
    return Load(network, "npy", 1, "requests of 10,000 rows", *(round(figure, 2) for figure in figures))


def run(home: Path, seconds: float) -> dict[str, Any]:
    """All figures."""
    with running_server(home) as address, httpx.Client(base_url=address, timeout=300) as http:
        url = httpx.URL(address)
        for network in NETWORKS:
            wait(http, train(http, network, ARCHITECTURES[network]))
        alone = over_http(url, seconds)
        large = [large_request(http, network) for network in NETWORKS]
        beside_large = beside_large_requests(http, url, seconds)
        job = train(http, "training", Cnn(), epochs=1000)
        while http.get(job).json()["progress"]["fraction"] < _TRAINING_FRACTION:
            time.sleep(0.2)
        beside_training = over_http(url, seconds, beside="a training job")
        http.post(f"{job}/cancel").raise_for_status()
    return {
        "machine": {**machine(), "python": platform.python_version()},
        "over_http": [asdict(load) for load in alone + beside_large + beside_training],
        "large": [asdict(request) for request in large],
        "in_process": [asdict(call) for call in in_process(home)],
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


def _table(head: str, rows: list[dict[str, Any]]) -> list[str]:
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
