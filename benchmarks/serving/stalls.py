"""How long the event loop waits while one hostile body, within the limits or beyond them, is read and refused.

A task of the server's own event loop notes the longest time between two of its turns. Other work of the machine makes
that longer and nothing makes it shorter, so each body is sent several times and the shortest is reported, beside the
median.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import httpx
import numpy as np
import uvicorn
import uvloop
from fastapi import FastAPI

from app import logs
from app.main import create_app
from app.service.home import open_home
from app.service.http_protocol import HttpProtocol
from app.settings import Settings
from app.specs.architectures import Mlp
from benchmarks.serving.running import npy, running_server, train, wait
from benchmarks.study import Study, machine
from benchmarks.writing import Row, distinct, listed, section, table, where, write

STUDY = Study(
    "serving.stalls",
    "how long the event loop serves nobody while one hostile body is read and refused",
    "docs/benchmarks/stalls.md and stalls.json",
    minutes=5,
    gibibytes=2,
)

_TURN_SECONDS = 0.0005
_BOUND_MS = 50
_MANY = 100_000
_MODEL = "mlp"
_JSON = "application/json"
_NPY = "application/x-npy"
_ROUTES = {
    "create": ("POST", "/v1/models"),
    "train": ("POST", f"/v1/models/{_MODEL}/train"),
    "serve": ("PUT", f"/v1/models/{_MODEL}/serving"),
    "forget": ("POST", f"/v1/models/{_MODEL}/forget"),
    "compare": ("POST", f"/v1/models/{_MODEL}/compare"),
    "verify": ("POST", f"/v1/models/{_MODEL}/versions/1/verify"),
    "key": ("POST", "/v1/api-keys"),
}
_PREDICT = ("POST", f"/v1/models/{_MODEL}/predict")


def _list(item: bytes, count: int) -> bytes:
    return b"[" + b",".join([item] * count) + b"]"


def _samples(items: bytes) -> bytes:
    return b'{"target": {"samples": ' + items + b"}}"


def json_bodies() -> dict[str, bytes]:
    """What each route with a JSON body is sent."""
    numbers = b"[" + b",".join(b"%d" % number for number in range(_MANY)) + b"]"
    names = b",".join(b'"%d": {}' % number for number in range(_MANY))
    return {
        "100,000 lists as the target": b'{"target": ' + _list(b"[]", _MANY) + b"}",
        "100,000 nested lists as the target": b'{"target": ' + _list(b"[[[[]]]]", _MANY) + b"}",
        "100,000 objects as samples": _samples(_list(b"{}", _MANY)),
        "100,000 samples": _samples(numbers),
        "100,000 texts as samples": _samples(_list(b'"abc"', _MANY)),
        "100,000 numbers of 18 digits as samples": _samples(_list(b"9" * 18, _MANY)),
        "100,000 lists as classes": b'{"classes": ' + _list(b"[]", _MANY) + b"}",
        "100,000 names": b"{" + names + b"}",
        "1,000 unknown names of 2,000 letters": b"{" + b",".join(b'"%01999d":1' % n for n in range(1000)) + b"}",
        "900 lists as parameters": b'{"method": "ssd", "parameters": {'
        + b",".join(b'"%d": []' % number for number in range(900))
        + b"}}",
        "3,000 lists": _list(b"[]", 2999),
        "900 objects in each other": b'{"a":' * 900 + b"1" + b"}" * 900,
        "4,000,000 open lists": b"[" * 4_000_000,
        "a text of 2,000,000 letters": b'{"reason": "' + b"x" * 2_000_000 + b'"}',
        "a text of 340,000 escapes": b'{"reason": "' + b"\\u00e9" * 340_000 + b'"}',
        "4,000,000 blanks": b" " * 4_000_000 + b"{}",
        "a number of 2,000,000 digits": b'{"seed": ' + b"9" * 2_000_000 + b"}",
        "260,000 letters": b'{"reason": "' + b"x" * 260_000 + b'"}',
        "10,000 classes": b'{"classes": ' + _list(b"1", 10_000) + b"}",
    }


def predict_bodies() -> dict[str, tuple[str, bytes]]:
    """What predict is sent, and as what."""
    row = b"[" + b",".join([b"0.5"] * 784) + b"]"
    return {
        "64 KiB of empty rows": (_JSON, b'{"inputs": ' + _list(b"[]", 21_000) + b"}"),
        "10,000 empty rows": (_JSON, b'{"inputs": ' + _list(b"[]", 10_000) + b"}"),
        "10,000 rows": (_JSON, b'{"inputs": ' + _list(row, 10_000) + b"}"),
        "one row of 15,000,000 numbers": (_JSON, b'{"inputs": [' + _list(b"0.5", 15_000_000) + b"]}"),
        "64 KiB of open lists": (_JSON, b'{"inputs": ' + b"[" * 65_000),
        "60 MB of open lists": (_JSON, b'{"inputs": ' + b"[" * 60_000_000),
        "10,000 rows of NaN in .npy": (_NPY, npy(np.full((10_000, 784), np.nan))),
        "10,000 rows in .npy": (_NPY, npy(np.zeros((10_000, 784)))),
    }


@dataclass(frozen=True)
class Sent:
    """One request."""

    body: str
    route: str
    method: str
    path: str
    content: bytes
    media_type: str

    def ask(self, port: int) -> int:
        """Send it by a client that copies nothing, since its copying would keep the server waiting; the answer's status."""
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        with closing(connection):
            connection.request(self.method, self.path, self.content, {"Content-Type": self.media_type})
            return connection.getresponse().status


def requests() -> Iterator[Sent]:
    """Every JSON body to every route that takes one, and what is for predict."""
    for body, content in json_bodies().items():
        for route, (method, path) in _ROUTES.items():
            yield Sent(body, route, method, path, content, _JSON)
    for body, (media_type, content) in predict_bodies().items():
        yield Sent(body, "predict", *_PREDICT, content, media_type)


class Heartbeat:
    """A task that wants a turn of the event loop all the time, and notes how long it waited for one."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def beat(self) -> None:
        """Until cancelled."""
        before = time.perf_counter()
        while True:
            await asyncio.sleep(_TURN_SECONDS)
            now = time.perf_counter()
            self.longest, before = max(self.longest, now - before - _TURN_SECONDS), now


async def measure(app: FastAPI, tries: int) -> list[Row]:
    """Serve on this event loop, and ask from a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=HttpProtocol, log_config=None, lifespan="on"))
    serving, heartbeat = asyncio.create_task(server.serve()), Heartbeat()
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    beating = asyncio.create_task(heartbeat.beat())
    port = server.servers[0].sockets[0].getsockname()[1]
    found = []
    for sent in requests():
        found.append(await _stall(port, heartbeat, tries, sent))
        print(found[-1], flush=True)
    beating.cancel()
    server.should_exit = True
    await serving
    return found


async def _stall(port: int, heartbeat: Heartbeat, tries: int, sent: Sent) -> Row:
    """The longest wait of the event loop with one body, in milliseconds: the shortest of all tries, and the median."""
    waits, status = [], 0
    for _ in range(tries):
        heartbeat.longest = 0.0
        status = await asyncio.to_thread(sent.ask, port)
        await asyncio.sleep(0.01)
        waits.append(1000 * heartbeat.longest)
    figures = {"shortest": round(min(waits), 1), "median": round(statistics.median(waits), 1)}
    return {"body": sent.body, "route": sent.route, "size": len(sent.content), "status": status, **figures}


def report(stalls: list[Row], tries: int) -> str:
    """By body, over all routes, as Markdown."""
    within = sum(stall["shortest"] <= _BOUND_MS for stall in stalls)
    lines = section(
        "# How long others wait for a hostile body",
        f"{machine()['cores']} cores. Written by `{STUDY.command}`; raw figures: [stalls.json](stalls.json).",
        "While one body is read and answered, the longest time in which the event loop served nobody, in milliseconds: of\n"
        f"{tries} tries the shortest, which is what the server itself makes, and the median, which other work of the machine\n"
        f"lengthens; the worst of all routes. {within} of {len(stalls)} pairs of body and route stay within {_BOUND_MS} ms.",
    )
    rows = [_row(where(stalls, body=body)) for body in distinct(stalls, "body")]
    return "\n".join([*lines, *table(["body", "bytes", "answers", "shortest", "median", "longest on"], rows)])


def _row(stalls: list[Row]) -> list[object]:
    worst = max(stalls, key=lambda stall: float(stall["shortest"]))
    answers = listed(sorted(distinct(stalls, "status")))
    return [worst["body"], f"{worst['size']:,}", answers, worst["shortest"], worst["median"], worst["route"]]


def main() -> None:
    """Measure and write."""
    parser = STUDY.parser("docs/benchmarks")
    parser.add_argument("--tries", type=int, default=9)
    asked = parser.parse_args()
    logs.configure("warning")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with running_server(home) as url, httpx.Client(base_url=url, trust_env=False) as http:
            wait(http, train(http, _MODEL, Mlp()))
        settings = Settings(home=home, worker="external")
        with open_home(settings) as database:
            stalls = uvloop.run(measure(create_app(settings, database), asked.tries))
    write(asked.output / "stalls.json", stalls)
    write(asked.output / "stalls.md", report(stalls, asked.tries))


if __name__ == "__main__":
    main()
